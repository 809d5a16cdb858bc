// The records that a client and the broker exchange, written and read field by field.
//
// docs/reference/local-protocol.md has them; feedmux.wire.local is the same in Python. Whatever is read is
// checked against its bound first: a record that is none is a Trouble, and the connection ends.
#ifndef FEEDMUX_LOCAL_RECORDS_HPP
#define FEEDMUX_LOCAL_RECORDS_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "system.hpp"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the records and the ring are little-endian"
#endif

namespace feedmux::local {

constexpr std::uint32_t MAGIC = 0x6F6C6D66;  // the letters fmlo
constexpr std::uint16_t VERSION = 1;
constexpr std::size_t HEADER_BYTES = 5;
constexpr std::size_t MAX_TEXT_BYTES = 4096;
constexpr std::size_t MAX_MESSAGE_BYTES = 16U << 20U;
constexpr std::size_t MAX_ITEMS = 64;
constexpr std::size_t MAX_BODY_BYTES = MAX_MESSAGE_BYTES + 256U * 1024U;

/// The types of record, by who says them; beats are said by both.
enum Type : std::uint8_t {
    HELLO = 1, BEAT, OPEN, CLOSE, SEND, SUBSCRIBE, UNSUBSCRIBE, LOG_LEVEL,
    WELCOME = 33, OPENED, LAST, FAILED, DONE, LOG, ANSWER
};

/// A message for a WebSocket.
struct Message {
    std::string payload;
    bool is_binary = false;
};

/// What a WebSocket is opened with, apart from address and key.
///
/// headers, subprotocols: of the upgrade; who has others does not share it.
/// opening: sent first each time that it is opened, a login for example.
/// last_by: the member of JSON messages by whose value the broker keeps the last ones for who comes later.
struct OpenOptions {
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<std::string> subprotocols;
    std::vector<Message> opening;
    std::string last_by;
};

/// Everything that decides what is opened.
struct Terms {
    std::string url;
    std::string key;
    OpenOptions options;

    [[nodiscard]] bool shares_with(const Terms& other) const {
        return url == other.url && key == other.key && options.headers == other.options.headers &&
               options.subprotocols == other.options.subprotocols;
    }
};

/// Whether these bytes are UTF-8, as the broker checks it: nothing overlong, no surrogates, nothing past U+10FFFF.
inline bool is_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const auto first = static_cast<unsigned char>(text[at]);
        const bool is_none = (first >= 0x80 && first < 0xC2) || first > 0xF4;
        const std::size_t more = is_none ? 9 : first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (more > 3 || text.size() - at <= more) {
            return false;
        }
        std::uint32_t point = more == 0 ? first : first & (0x3FU >> more);
        for (std::size_t step = 1; step <= more; ++step) {
            const auto next = static_cast<unsigned char>(text[at + step]);
            if ((next & 0xC0) != 0x80) {
                return false;
            }
            point = point << 6U | (next & 0x3FU);
        }
        if ((more == 2 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) ||
            (more == 3 && (point < 0x10000 || point > 0x10FFFF))) {
            return false;
        }
        at += more + 1;
    }
    return true;
}

/// Writes one record. Throws Trouble where the broker would refuse a field.
class RecordWriter {
public:
    explicit RecordWriter(Type type) : record_(HEADER_BYTES, '\0') { record_[4] = static_cast<char>(type); }

    template <typename Number>
    RecordWriter& number(Number value) {
        record_.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }

    RecordWriter& text(std::string_view text) {
        if (text.size() > MAX_TEXT_BYTES) {
            throw Trouble("a text of " + std::to_string(text.size()) + " bytes; the bound is 4096");
        }
        if (!is_utf8(text)) {
            throw Trouble("a text that is not UTF-8");
        }
        number(static_cast<std::uint16_t>(text.size()));
        record_.append(text);
        return *this;
    }

    RecordWriter& bytes(std::string_view bytes) {
        if (bytes.size() > MAX_MESSAGE_BYTES) {
            throw Trouble("a message of " + std::to_string(bytes.size()) + " bytes; the bound is 16 MiB");
        }
        number(static_cast<std::uint32_t>(bytes.size()));
        record_.append(bytes);
        return *this;
    }

    RecordWriter& count(std::size_t items) {
        if (items > MAX_ITEMS) {
            throw Trouble(std::to_string(items) + " items; the bound is 64");
        }
        return number(static_cast<std::uint16_t>(items));
    }

    /// The record, whole.
    std::string take() {
        const std::size_t size = record_.size() - HEADER_BYTES;
        if (size > MAX_BODY_BYTES) {
            throw Trouble("a request of " + std::to_string(size) + " bytes; the bound is 16.25 MiB");
        }
        const auto length = static_cast<std::uint32_t>(size);
        std::memcpy(record_.data(), &length, sizeof length);
        return std::move(record_);
    }

private:
    std::string record_;
};

inline std::string hello(std::uint32_t pid, std::string_view name) {
    return RecordWriter(HELLO).number(MAGIC).number(VERSION).number(pid).text(name).take();
}

inline std::string open(std::uint32_t request, const Terms& terms) {
    RecordWriter record(OPEN);
    record.number(request).text(terms.url).text(terms.key).count(terms.options.headers.size());
    for (const auto& [name, value] : terms.options.headers) {
        record.text(name).text(value);
    }
    record.count(terms.options.subprotocols.size());
    for (const auto& subprotocol : terms.options.subprotocols) {
        record.text(subprotocol);
    }
    record.count(terms.options.opening.size());
    for (const auto& message : terms.options.opening) {
        record.number(static_cast<std::uint8_t>(message.is_binary)).bytes(message.payload);
    }
    return record.text(terms.options.last_by).take();
}

inline std::string close(std::uint32_t request, std::uint64_t id) {
    return RecordWriter(CLOSE).number(request).number(id).take();
}

inline std::string send(std::uint64_t id, bool is_binary, std::string_view payload) {
    return RecordWriter(SEND).number(id).number(static_cast<std::uint8_t>(is_binary)).bytes(payload).take();
}

/// A wish for a symbol: which of its kinds, what asks for it, what asks for no more of it.
struct Wish {
    std::string symbol;
    std::uint8_t kinds = 0;
    std::string message;
    std::string release;
};

inline std::string subscribe(std::uint32_t request, std::uint64_t id, const Wish& wish) {
    RecordWriter record(SUBSCRIBE);
    record.number(request).number(id).number(wish.kinds).number(std::uint8_t{0});
    return record.text(wish.symbol).bytes(wish.message).bytes(wish.release).take();
}

inline std::string unsubscribe(std::uint32_t request, std::uint64_t id, const Wish& wish) {
    RecordWriter record(UNSUBSCRIBE);
    return record.number(request).number(id).number(std::uint8_t{0}).text(wish.symbol).bytes(wish.message).take();
}

inline std::string log_level(std::uint8_t level) { return RecordWriter(LOG_LEVEL).number(level).take(); }

inline std::string beat() { return RecordWriter(BEAT).take(); }

/// Reads the fields of a body, one after the other. Throws Trouble where one ends too soon or is too long.
class RecordReader {
public:
    explicit RecordReader(std::string_view body) : left_(body) {}

    template <typename Number>
    Number number() {
        Number value;
        std::memcpy(&value, cut(sizeof value).data(), sizeof value);
        return value;
    }

    std::string_view text() {
        const auto found = cut(bounded(number<std::uint16_t>(), MAX_TEXT_BYTES));
        if (!is_utf8(found)) {
            throw Violation("a text that is not UTF-8");
        }
        return found;
    }

    std::string_view bytes() { return cut(bounded(number<std::uint32_t>(), MAX_MESSAGE_BYTES)); }

    void end() const {
        if (!left_.empty()) {
            throw Violation("a record has " + std::to_string(left_.size()) + " bytes too many");
        }
    }

private:
    std::string_view left_;

    static std::size_t bounded(std::size_t size, std::size_t most) {
        if (size > most) {
            throw Violation("a length of " + std::to_string(size));
        }
        return size;
    }

    std::string_view cut(std::size_t size) {
        if (left_.size() < size) {
            throw Violation("a record ends within a field");
        }
        const auto found = left_.substr(0, size);
        left_.remove_prefix(size);
        return found;
    }
};

}  // namespace feedmux::local

#endif
