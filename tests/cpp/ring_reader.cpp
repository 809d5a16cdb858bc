// Reads a ring and says what became of every record; see tests/support/ring_reader.py, which does the same.
//
// Arguments: the descriptors of a socket, the ring, a seat and its bell, and of how many units records are at most.
#include <feedmux/local/ring.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <poll.h>

namespace local = feedmux::local;

namespace {

constexpr int ENOUGH = 500;

/// Which record this is (tests/support/ring_records.py); -1: it is torn.
long long number_of(const std::string& record, std::uint64_t units) {
    std::uint64_t number = 0;
    if (record.size() < 16) {
        return -1;
    }
    std::memcpy(&number, record.data() + 8, sizeof number);
    bool is_whole = record.size() == 16 * (1 + number % units);
    for (std::size_t at = 16; is_whole && at < record.size(); at += 16) {
        is_whole = record.compare(at, 16, record, 0, 16) == 0;
    }
    return is_whole ? static_cast<long long>(number) : -1;
}

}  // namespace

int main(int, char** arguments) {
    const int control = std::atoi(arguments[1]);
    const auto units = static_cast<std::uint64_t>(std::atoi(arguments[5]));
    const local::Descriptor ring(std::atoi(arguments[2])), seat(std::atoi(arguments[3]));
    const local::Bell bell(local::Descriptor(std::atoi(arguments[4])));
    local::RingReader reader(local::Mapping(ring, false), local::Seat(local::Mapping(seat, true)), 0);
    long long whole = 0, lapped = 0, torn = 0, stale = 0, invalid = 0, unsaid = 0, last = -1, end = -1;
    bool was_lapped = false;
    std::string record;
    std::printf("ready\n");
    std::fflush(stdout);
    for (;;) {
        local::Found found = local::Found::NOTHING;
        try {
            found = reader.read(record);
        } catch (const local::Trouble&) {
            ++invalid;
            break;
        }
        if (found == local::Found::LAPPED) {
            ++lapped;
            was_lapped = true;
        } else if (found == local::Found::RECORD) {
            const long long number = number_of(record, units);
            torn += number < 0;
            stale += number >= 0 && number <= last;
            unsaid += number > last + 1 && !was_lapped;
            if (number > last) {
                ++whole;
                last = number;
                was_lapped = false;
            }
            if (whole == ENOUGH || torn == 1) {
                std::printf(torn != 0 ? "torn\n" : "enough\n");
                std::fflush(stdout);
                torn += torn == 1;  // said once
            }
        } else if (end >= 0) {
            break;
        } else {
            pollfd wanted[] = {{control, POLLIN, 0}, {bell.number(), POLLIN, 0}};
            ::poll(wanted, 2, reader.sleep() ? 20'000 : 0);
            reader.rise();
            bell.silence();
            char said[32] = {};
            if (wanted[0].revents != 0 && ::recv(control, said, sizeof said - 1, 0) >= 0) {
                end = std::atoll(said);
            }
        }
    }
    const long long missing = end > last && !was_lapped ? 1 : 0;
    std::printf("{\"whole\": %lld, \"lapped\": %lld, \"torn\": %lld, ", whole, lapped, torn);
    std::printf("\"stale\": %lld, \"invalid\": %lld, \"unsaid\": %lld}\n", stale, invalid, unsaid + missing);
}
