// One socket to a broker: records go out, records and descriptors come in, and nothing blocks.
#ifndef FEEDMUX_LOCAL_WIRE_HPP
#define FEEDMUX_LOCAL_WIRE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "records.hpp"
#include "system.hpp"

namespace feedmux::local {

/// What comes with the first *opened* of a WebSocket.
struct Lent {
    Descriptor ring, seat, bell;
};

/// Nobody is at the other end any more.
struct Ended : Trouble {
    using Trouble::Trouble;
};

/// A record as it came; the body is gone with the next call of the wire that gave it.
struct Incoming {
    std::uint8_t type = 0;
    std::string_view body;
};

/// The socket and what is on its way in both directions.
class Wire {
public:
    Wire() = default;
    explicit Wire(Descriptor socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int number() const noexcept { return socket_.number(); }
    [[nodiscard]] bool has_unsent() const noexcept { return sent_ < outgoing_.size(); }
    [[nodiscard]] std::size_t unsent() const noexcept { return outgoing_.size() - sent_; }

    /// Say something; what the socket does not take now goes out with later calls of flush().
    void say(std::string_view record) {
        outgoing_.append(record);
        flush();
    }

    /// If nobody is at the other end any more, receive() will say so, behind what was said last.
    void flush() {
        while (has_unsent()) {
            const ssize_t count =
                ::send(number(), outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count < 0 && errno == EINTR) {
                continue;
            }
            if (count < 0 && errno == EAGAIN) {
                break;
            }
            if (count < 0) {
                outgoing_.clear();
                sent_ = 0;
                return;
            }
            sent_ += static_cast<std::size_t>(count);
        }
        if (!has_unsent() || sent_ > COMPACT) {
            outgoing_.erase(0, sent_);
            sent_ = 0;
        }
    }

    /// Take what the socket has; whether it was something.
    ///
    /// Throws Ended, or Trouble if descriptors were lost.
    bool receive() {
        std::array<char, CHUNK> chunk;  // NOLINT: filled by the system
        alignas(cmsghdr) std::array<char, CMSG_SPACE(MOST_AT_ONCE * sizeof(int))> beside{};
        iovec part{chunk.data(), chunk.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = beside.data();
        message.msg_controllen = beside.size();
        const ssize_t count = ::recvmsg(number(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        if (count <= 0) {
            throw Ended(count == 0 ? "the broker has ended" : "the broker has ended (" + reason_of(errno) + ")");
        }
        take_descriptors(message);
        incoming_.erase(0, read_);
        read_ = 0;
        incoming_.append(chunk.data(), static_cast<std::size_t>(count));
        return true;
    }

    /// The next record that is whole. Throws Trouble if it is longer than any may be.
    bool next(Incoming& record) {
        const std::string_view left = std::string_view(incoming_).substr(read_);
        if (left.size() < HEADER_BYTES) {
            return false;
        }
        std::uint32_t size = 0;
        std::memcpy(&size, left.data(), sizeof size);
        if (size > MAX_BODY_BYTES) {
            throw Violation("a record of " + std::to_string(size) + " bytes");
        }
        if (left.size() - HEADER_BYTES < size) {
            return false;
        }
        record = {static_cast<std::uint8_t>(left[4]), left.substr(HEADER_BYTES, size)};
        read_ += HEADER_BYTES + size;
        return true;
    }

    /// The descriptors that came with the oldest *opened* whose own were not taken yet.
    Lent take_lent() {
        if (lent_.size() < 3) {
            throw Violation("a WebSocket without its ring, seat and bell");
        }
        Lent found;
        for (Descriptor* place : {&found.ring, &found.seat, &found.bell}) {
            *place = std::move(lent_.front());
            lent_.pop_front();
        }
        return found;
    }

private:
    static constexpr std::size_t CHUNK = 64 * 1024, COMPACT = 1024 * 1024, MOST_AT_ONCE = 64, MOST_LENT = 3 * 256;

    Descriptor socket_;
    std::string outgoing_, incoming_;
    std::size_t sent_ = 0, read_ = 0;
    std::deque<Descriptor> lent_;

    void take_descriptors(msghdr& message) {
        for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
            if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
                continue;
            }
            const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t item = 0; item < count; ++item) {
                int number = -1;
                std::memcpy(&number, CMSG_DATA(head) + item * sizeof number, sizeof number);
                lent_.emplace_back(number);
            }
        }
        if ((message.msg_flags & MSG_CTRUNC) != 0) {
            throw Trouble("descriptors of the broker were lost: this process may have no more (RLIMIT_NOFILE)");
        }
        if (lent_.size() > MOST_LENT) {
            throw Violation("descriptors that belong to nothing");
        }
    }
};

}  // namespace feedmux::local

#endif
