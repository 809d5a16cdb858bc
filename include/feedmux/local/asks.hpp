// What the user asks of the broker, and what is asked again by itself.
//
// Everything here happens on the thread of the client (worker.hpp). A Trouble that leaves a function means that
// this broker is of no use any more.
#ifndef FEEDMUX_LOCAL_ASKS_HPP
#define FEEDMUX_LOCAL_ASKS_HPP

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "desk.hpp"

namespace feedmux::local {

class Asks : protected Desk {
protected:
    using Desk::Desk;

    /// Do what the user asks.
    void operate(Operation operation) {
        switch (operation.type) {
        case OPEN: open_first(std::move(operation)); break;
        case CLOSE: close_for_user(operation); break;
        case LOG_LEVEL:
            level_ = operation.level;
            if (link_.is_live()) {
                say(log_level(*level_));
            }
            break;
        case FAILED: voice_.later([=](Voice& user) { user.error(operation.id, operation.payload); }); break;
        default: operate_on_feed(operation); break;
        }
    }

    /// A broker has greeted us: tell it everything that is wanted.
    void introduce() {
        if (level_) {
            say(log_level(*level_));
        }
        chores(Clock::now());
        for (auto& [number, request] : requests_) {
            if (!request.is_sent) {
                send_open(number);
            }
        }
    }

    /// Do what is due; when something is due next.
    Clock::time_point chores(Clock::time_point now) {
        auto next = Clock::time_point::max();
        if (!link_.is_live()) {
            return next;
        }
        for (auto& [id, feed] : feeds_) {
            if (feed->broker_id == 0 && !feed->is_asked && !feed->is_given_up) {
                if (now >= feed->retry_at) {
                    open_again(feed);
                } else {
                    next = std::min(next, feed->retry_at);
                }
            }
            if (feed->wishes_due && now >= *feed->wishes_due) {
                wish_again(feed);
            } else if (feed->wishes_due) {
                next = std::min(next, *feed->wishes_due);
            }
        }
        return next;
    }

private:
    static constexpr std::size_t MOST_UNSENT = 64U << 20U;

    std::optional<std::uint8_t> level_;

    void open_first(Operation operation) {
        try {
            open(1, operation.terms);
        } catch (const Trouble& error) {
            refuse(operation.ticket, 0, std::string("the WebSocket cannot be opened: ") + error.what());
            return;
        }
        Request request;
        request.type = OPEN;
        request.terms = std::move(operation.terms);
        request.ticket = std::move(operation.ticket);
        const auto number = keep(std::move(request));
        link_.hurry();
        if (link_.is_live()) {
            send_open(number);
        }
    }

    void open_again(const std::shared_ptr<Feed>& feed) {
        Request request;
        request.type = OPEN;
        request.feed = feed;
        request.terms = feed->terms;
        feed->is_asked = true;
        send_open(keep(std::move(request)));
    }

    void send_open(std::uint32_t number) {
        Request& request = requests_.at(number);
        request.is_sent = true;
        say(open(number, request.terms));
    }

    void wish_again(const std::shared_ptr<Feed>& feed) {
        feed->wishes_due.reset();
        for (const Wish& wish : feed->wishes) {
            Request request;
            request.type = SUBSCRIBE;
            request.feed = feed;
            request.wish = wish;
            say(subscribe(keep(std::move(request)), feed->broker_id, wish));
        }
    }

    void close_for_user(const Operation& operation) {
        const auto found = feeds_.find(operation.id);
        if (operation.id != 0 && found == feeds_.end()) {
            refuse(operation.ticket, operation.id, "not closed: this client shares no WebSocket of this number");
            return;
        }
        if (operation.id != 0) {
            const auto feed = found->second;
            drop(feed);
            if (feed->broker_id != 0) {
                leave(feed->broker_id, operation.ticket);
            } else {
                answer(operation.ticket, true);
            }
            return;
        }
        Request request;
        request.type = CLOSE;
        request.ticket = operation.ticket;
        while (!feeds_.empty()) {
            request.leaves.push_back(feeds_.begin()->second->broker_id);
            drop(feeds_.begin()->second);
        }
        if (link_.is_live()) {
            say(close(keep(std::move(request)), 0));
        } else {
            answer(operation.ticket, true);
        }
    }

    void operate_on_feed(Operation& operation) {
        const auto found = feeds_.find(operation.id);
        if (found == feeds_.end()) {
            refuse(operation.ticket, operation.id, "not sent: this client shares no WebSocket of this number");
            return;
        }
        const auto feed = found->second;
        if (feed->broker_id == 0 && operation.type != SEND && !feed->is_given_up) {
            feed->waiting.push_back(std::move(operation));  // the next broker is asked
            return;
        }
        if (feed->broker_id == 0) {  // what is sent may have been meant for the connection that is gone
            refuse(operation.ticket, operation.id, "not sent: it is not open, and will be opened again");
            return;
        }
        if (link_.wire().unsent() > MOST_UNSENT) {
            refuse(operation.ticket, operation.id, "not sent: the broker does not take what was said before");
            return;
        }
        feed->may_need_login = feed->may_need_login || operation.type == SEND;
        Request request;
        request.type = operation.type;
        request.feed = feed;
        request.wish = std::move(operation.wish);
        request.ticket = operation.ticket;
        const auto number = operation.type == SEND ? 0 : keep(request);
        std::string record;
        try {
            record = operation.type == SEND        ? send(feed->broker_id, operation.is_binary, operation.payload)
                     : operation.type == SUBSCRIBE ? subscribe(number, feed->broker_id, request.wish)
                                                   : unsubscribe(number, feed->broker_id, request.wish);
        } catch (const Trouble& error) {
            requests_.erase(number);
            refuse(operation.ticket, operation.id, std::string("not sent: ") + error.what());
            return;
        }
        say(record);
        if (operation.type == UNSUBSCRIBE) {
            feed->forget(request.wish.symbol);
        }
        if (operation.type == SUBSCRIBE && feed->wishes_due) {  // it is logged in: the others follow
            feed->forget(request.wish.symbol);
            feed->wishes_due = Clock::now();
        }
    }
};

}  // namespace feedmux::local

#endif
