// One WebSocket that the user shares, and what is asked about it.
#ifndef FEEDMUX_LOCAL_FEED_HPP
#define FEEDMUX_LOCAL_FEED_HPP

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "link.hpp"
#include "records.hpp"
#include "ring.hpp"
#include "wire.hpp"

namespace feedmux::local {

/// Where a call of the user waits for its answer; shared with the thread, under its lock.
struct Ticket {
    bool is_done = false;
    bool is_left = false;  // nobody waits any more
    bool is_granted = false;
    bool flag = false;
    std::uint64_t value = 0;
};

/// What the user asks for, on its way to the thread.
struct Operation {
    Type type = BEAT;
    std::uint64_t id = 0;
    Terms terms;
    Wish wish;
    std::string payload;
    bool is_binary = false;
    std::uint8_t level = 0;
    std::shared_ptr<Ticket> ticket;  // none: the call does not wait
};

/// A WebSocket under the number that the user knows. Brokers come and go; what has to be opened and wanted again
/// at the next one is kept here.
struct Feed {
    std::uint64_t id = 0;
    std::uint64_t broker_id = 0;  // how the present broker calls it; 0: there is none that has it
    Terms terms;
    std::vector<Operation> waiting;  // what the user asked while it was not open
    std::vector<Wish> wishes;  // of its symbols, in the order in which they were first wanted
    bool is_open = false;      // as the user was told
    bool is_over = false;      // nobody wants to hear of it any more
    bool is_fresh = false;     // this client has to log in, and openWebSocket has not said so yet
    bool may_need_login = false;  // somebody has sent messages of his own: a login may be among them
    bool is_given_up = false;     // the present broker does not open it again
    bool is_asked = false;     // the present broker was asked to open it again
    bool has_missed = false;   // it may have been opened again without our having read so
    std::uint32_t lasts = 0;   // so many records of the last messages are still to come
    RingReader ring;
    Bell bell{Descriptor()};
    std::optional<Clock::time_point> wishes_due, blind_since;
    Clock::time_point retry_at;
    Clock::duration pause = seconds(1);
    std::string blind_by;

    [[nodiscard]] bool is_read() const noexcept { return broker_id != 0 && !is_over && lasts == 0; }

    /// Begin to read. Throws Trouble if what the broker lent is no ring.
    void attach(std::uint64_t number, Lent lent, std::uint64_t start) {
        bell = Bell(std::move(lent.bell));
        ring = RingReader(Mapping(lent.ring, false), Seat(Mapping(lent.seat, true)), start);
        broker_id = number;
    }

    /// The broker is gone.
    void detach() {
        ring = RingReader();
        bell = Bell(Descriptor());
        broker_id = 0;
        lasts = 0;
        is_asked = has_missed = is_fresh = false;
        wishes_due.reset();
        retry_at = Clock::time_point();
        pause = seconds(1);
    }

    /// Keep a wish if it adds a kind of its symbol.
    void want(const Wish& wish) {
        unsigned kinds = 0;
        bool is_known = false;
        for (const Wish& known : wishes) {
            if (known.symbol == wish.symbol) {
                kinds |= known.kinds;
                is_known = true;
            }
        }
        if (!is_known || (wish.kinds & ~kinds) != 0) {
            wishes.push_back(wish);
        }
    }

    void forget(std::string_view symbol) {
        const auto is_of_it = [symbol](const Wish& wish) { return wish.symbol == symbol; };
        wishes.erase(std::remove_if(wishes.begin(), wishes.end(), is_of_it), wishes.end());
    }
};

/// What the broker was asked, or will be as soon as there is one.
struct Request {
    Type type = BEAT;
    std::shared_ptr<Feed> feed;  // of an *open*: it is opened again
    Terms terms;
    Wish wish;
    std::shared_ptr<Ticket> ticket;
    std::vector<std::uint64_t> leaves;  // of a *close*: what the broker calls the WebSockets that are left
    bool is_sent = false;
    int losses = 0;  // so many brokers were lost before they answered
};

}  // namespace feedmux::local

#endif
