// Reads a ring in shared memory into which the broker writes what comes from one WebSocket.
//
// docs/reference/ring.md has the layout and what a reader must do; feedmux.core.ring is the specification. The
// positions and the data are read with atomic loads, because another process writes meanwhile: what was copied
// counts only after the look at `reserved` that follows it.
#ifndef FEEDMUX_LOCAL_RING_HPP
#define FEEDMUX_LOCAL_RING_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "system.hpp"

namespace feedmux::local {

// ThreadSanitizer does not know fences, and gcc says so. There is nothing here that it could find: the other
// side of each fence is in another process.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
inline void acquire_fence() noexcept { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
inline void full_fence() noexcept { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// The page in which a reader says that it sleeps.
class Seat {
public:
    Seat() = default;
    explicit Seat(Mapping page) : page_(std::move(page)) {
        if (page_.size() < sizeof(std::uint32_t)) {
            throw Trouble("the page that the broker lent is none");
        }
    }

    void set(bool is_asleep) noexcept {
        __atomic_store_n(reinterpret_cast<std::uint32_t*>(page_.start()), is_asleep ? 1U : 0U, __ATOMIC_RELAXED);
    }

private:
    Mapping page_;
};

/// What a look into the ring found.
enum class Found { NOTHING, RECORD, LAPPED };

/// One reader of one ring.
class RingReader {
public:
    RingReader() = default;

    /// start: the position at which it begins. Throws Trouble if this is no ring, or not of this version.
    RingReader(Mapping memory, Seat seat, std::uint64_t start)
        : memory_(std::move(memory)), seat_(std::move(seat)), cursor_(start), seen_(start) {
        Head head{};
        if (memory_.size() < HEADER) {
            throw Trouble("the ring is damaged: it has " + std::to_string(memory_.size()) + " bytes");
        }
        std::memcpy(&head, memory_.start(), sizeof head);
        capacity_ = head.capacity;
        if (std::memcmp(head.magic, "fmuxring", 8) != 0 || head.version != 1 || head.header_bytes != HEADER) {
            throw Trouble("the ring is none of version 1");
        }
        if (capacity_ != memory_.size() - HEADER || capacity_ < 1024 || (capacity_ & (capacity_ - 1)) != 0 ||
            head.largest != capacity_ / 2 - RECORD_HEAD) {
            throw Trouble("the ring is damaged: its header says " + std::to_string(capacity_) + " bytes");
        }
        if (start % RECORD_HEAD != 0) {
            throw Violation("a record begins at no position like " + std::to_string(start));
        }
    }

    /// Copy the next record. `record` is what was written, whole, or nothing that counts.
    ///
    /// Throws: Trouble if the memory is damaged; there is no way on.
    Found read(std::string& record) {
        for (;;) {
            if (seen_ == cursor_ && !look()) {
                return Found::NOTHING;
            }
            if (is_late()) {
                return fall_back();
            }
            RecordHead head{};
            const std::uint64_t place = cursor_ & (capacity_ - 1);
            copy(reinterpret_cast<char*>(&head), place, sizeof head);
            const std::uint64_t size = padded(head.length);
            if ((head.kind != DATA && head.kind != SKIP) || place + size > capacity_ || size > seen_ - cursor_) {
                if (is_late()) {
                    return fall_back();
                }
                throw Trouble("the ring is damaged: a record of kind " + std::to_string(head.kind) + " with " +
                              std::to_string(head.length) + " bytes");
            }
            if (head.kind == DATA) {
                record.resize(head.length);
                copy(record.data(), place + RECORD_HEAD, head.length);
            }
            if (is_late()) {  // what was copied may be torn
                return fall_back();
            }
            cursor_ += size;
            if (head.kind == DATA) {
                return Found::RECORD;
            }
        }
    }

    /// How many bytes the last lap took.
    [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

    /// Ask to be woken; false if there is something to read already.
    bool sleep() noexcept {
        seat_.set(true);
        full_fence();  // SYNC: with the writer, which publishes, and looks at the flag behind a fence of its own
        if (seen_ != cursor_ || is_ahead(published())) {
            seat_.set(false);
            return false;
        }
        return true;
    }

    /// Sleep no longer.
    void rise() noexcept { seat_.set(false); }

private:
    struct Head {
        char magic[8];
        std::uint32_t version, header_bytes;
        std::uint64_t capacity, largest;
    };
    struct RecordHead {
        std::uint32_t length, kind;
        std::uint64_t number;
    };
    static constexpr std::size_t HEADER = 4096, RESERVED = 64, PUBLISHED = 128;
    static constexpr std::uint64_t RECORD_HEAD = 16;
    static constexpr std::uint32_t DATA = 1, SKIP = 2;

    Mapping memory_;
    Seat seat_;
    std::uint64_t capacity_ = 0, cursor_ = 0, seen_ = 0, missed_ = 0;
    bool has_begun_ = false;

    static std::uint64_t padded(std::uint64_t length) noexcept {
        return (RECORD_HEAD + length + 15) & ~std::uint64_t{15};
    }

    /// SYNC: with the writer, which stores `published` with release, behind what it shows.
    std::uint64_t published() const noexcept { return __atomic_load_n(word_at(PUBLISHED), __ATOMIC_ACQUIRE); }

    const std::uint64_t* word_at(std::size_t place) const noexcept {
        return reinterpret_cast<const std::uint64_t*>(memory_.start() + place);
    }

    /// Whether this position shows something. Before the first record it may be behind the cursor: the broker
    /// says where we begin when it has written so far, and shows it a moment later.
    bool is_ahead(std::uint64_t shown) const noexcept {
        return shown != cursor_ && (has_begun_ || static_cast<std::int64_t>(shown - cursor_) > 0);
    }

    bool look() noexcept {
        const std::uint64_t shown = published();
        if (!is_ahead(shown)) {
            return false;
        }
        has_begun_ = true;
        seen_ = shown;
        return true;
    }

    bool is_late() const noexcept {
        acquire_fence();  // SYNC: with the writer, which stores `reserved` before it touches the bytes
        return __atomic_load_n(word_at(RESERVED), __ATOMIC_RELAXED) - cursor_ > capacity_;
    }

    Found fall_back() noexcept {
        const std::uint64_t shown = published();
        missed_ = shown - cursor_;
        cursor_ = seen_ = shown;
        return Found::LAPPED;
    }

    /// Copy from the data, eight bytes at a time: a record begins at a multiple of 16 and is padded to one, so
    /// no word crosses its end, and no word is read in halves.
    void copy(char* to, std::uint64_t place, std::uint64_t length) const noexcept {
        const std::uint64_t* from = word_at(HEADER + place);
        for (; length > 0; ++from) {
            const std::uint64_t word = __atomic_load_n(from, __ATOMIC_RELAXED);
            const std::uint64_t part = std::min<std::uint64_t>(length, sizeof word);
            std::memcpy(to, &word, part);
            to += part;
            length -= part;
        }
    }
};

/// What an entry in the ring is.
enum class What : std::uint8_t { TEXT = 1, BINARY, OPENED, CLOSED, ERROR };

/// One entry; its payload lies in the record that it was read from.
struct Entry {
    What what = What::TEXT;
    bool is_again = false;
    std::uint16_t code = 0;
    std::uint32_t remaining = 0, client = 0;
    std::string_view payload;

    /// Throws Trouble if it is none.
    static Entry decode(std::string_view record) {
        constexpr std::size_t HEAD = 24;
        if (record.size() < HEAD || record[0] < 1 || record[0] > 5) {
            throw Violation("an entry of " + std::to_string(record.size()) + " bytes that is none");
        }
        Entry entry;
        entry.what = static_cast<What>(record[0]);
        entry.is_again = (record[1] & 1) != 0;
        std::memcpy(&entry.code, record.data() + 2, sizeof entry.code);
        std::memcpy(&entry.remaining, record.data() + 4, sizeof entry.remaining);
        std::memcpy(&entry.client, record.data() + 8, sizeof entry.client);
        entry.payload = record.substr(HEAD);
        return entry;
    }
};

}  // namespace feedmux::local

#endif
