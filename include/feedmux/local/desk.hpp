// What one client keeps: its WebSockets, and what it has asked the broker and not been answered.
//
// Everything here happens on the thread of the client (worker.hpp), apart from what its lock guards.
#ifndef FEEDMUX_LOCAL_DESK_HPP
#define FEEDMUX_LOCAL_DESK_HPP

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "feed.hpp"
#include "link.hpp"
#include "records.hpp"
#include "voice.hpp"

namespace feedmux::local {

class Desk {
protected:
    Desk(Voice::Callback* callback, Names names) : voice_(callback), link_(std::move(names)) {}

    std::mutex mutex_;  // guards tickets, and what the worker shares with users' threads
    std::condition_variable answered_;
    std::atomic<std::uint64_t> broker_pid_{0};
    Voice voice_;
    Link link_;
    std::map<std::uint64_t, std::shared_ptr<Feed>> feeds_;  // by the number that the user knows
    std::map<std::uint32_t, Request> requests_;

    [[nodiscard]] bool is_wanted() const noexcept { return !feeds_.empty() || !requests_.empty(); }

    void say(std::string_view record) { link_.say(record, Clock::now()); }

    std::uint32_t keep(Request request) {
        while (++last_request_ == 0 || requests_.count(last_request_) != 0) {
        }
        requests_.emplace(last_request_, std::move(request));
        return last_request_;
    }

    Request release(std::uint32_t number) {
        const auto found = requests_.find(number);
        if (found == requests_.end()) {
            throw Violation("an answer to nothing that was asked");
        }
        Request request = std::move(found->second);
        requests_.erase(found);
        return request;
    }

    void answer(const std::shared_ptr<Ticket>& ticket, bool is_granted, std::uint64_t value = 0, bool flag = false) {
        if (!ticket) {
            return;
        }
        {
            const std::lock_guard lock(mutex_);
            ticket->is_done = true;
            ticket->is_granted = is_granted;
            ticket->value = value;
            ticket->flag = flag;
        }
        answered_.notify_all();
    }

    /// Tell it of a WebSocket, unless that was closed before its turn comes.
    template <typename Call>
    void later(const std::shared_ptr<Feed>& feed, Call call) {
        voice_.later([feed, call = std::move(call)](Voice& user) {
            if (!feed->is_over) {
                call(user, feed->id);
            }
        });
    }

    void complain(const std::shared_ptr<Feed>& feed, std::string why) {
        later(feed, [why = std::move(why)](Voice& user, std::uint64_t id) { user.error(id, why); });
    }

    /// What was asked is not done.
    void refuse(const Request& request, std::string why) {
        if (request.feed) {
            complain(request.feed, std::move(why));
            answer(request.ticket, false);
        } else {
            refuse(request.ticket, 0, std::move(why));
        }
    }

    void refuse(const std::shared_ptr<Ticket>& ticket, std::uint64_t id, std::string why) {
        voice_.later([id, why = std::move(why)](Voice& user) { user.error(id, why); });
        answer(ticket, false);
    }

    std::shared_ptr<Feed> by_broker(std::uint64_t id) const {
        for (const auto& [number, feed] : feeds_) {
            if (feed->broker_id == id) {
                return feed;
            }
        }
        return nullptr;
    }

    std::shared_ptr<Feed> down(const Terms& terms) const {
        for (const auto& [number, feed] : feeds_) {
            if (feed->broker_id == 0 && feed->terms.shares_with(terms)) {
                return feed;
            }
        }
        return nullptr;
    }

    bool is_left(const std::shared_ptr<Ticket>& ticket) {
        const std::lock_guard lock(mutex_);
        return ticket && ticket->is_left;
    }

    /// Tell the broker that nobody here wants it.
    void leave(std::uint64_t broker_id, const std::shared_ptr<Ticket>& ticket = nullptr) {
        Request request;
        request.type = CLOSE;
        request.ticket = ticket;
        request.leaves = {broker_id};
        say(close(keep(std::move(request)), broker_id));
    }

    /// Whether the broker has not answered yet that we have left it: until then it lends its ring no second time.
    [[nodiscard]] bool is_leaving(std::uint64_t broker_id) const {
        for (const auto& [number, request] : requests_) {
            if (std::count(request.leaves.begin(), request.leaves.end(), broker_id) != 0) {
                return true;
            }
        }
        return false;
    }

    void drop(std::shared_ptr<Feed> feed) {
        feed->is_over = true;
        for (const Operation& operation : std::exchange(feed->waiting, {})) {
            answer(operation.ticket, false);
        }
        feeds_.erase(feed->id);
    }


private:
    std::uint32_t last_request_ = 0;
};

}  // namespace feedmux::local

#endif
