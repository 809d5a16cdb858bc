// What is asked of the broker and what it answers, for all WebSockets of one client.
//
// Everything here happens on the thread of the client (worker.hpp). A Trouble that leaves a function means that
// this broker is of no use any more.
#ifndef FEEDMUX_LOCAL_DIALOGUE_HPP
#define FEEDMUX_LOCAL_DIALOGUE_HPP

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "feed.hpp"
#include "link.hpp"
#include "records.hpp"
#include "ring.hpp"
#include "voice.hpp"

namespace feedmux::local {

class Dialogue {
protected:
    Dialogue(Voice::Callback* callback, Names names) : voice_(callback), link_(std::move(names)) {}

    std::mutex mutex_;  // guards tickets, and what the worker shares with users' threads
    std::condition_variable answered_;
    std::atomic<std::uint64_t> broker_pid_{0};
    Voice voice_;
    Link link_;
    std::map<std::uint64_t, std::shared_ptr<Feed>> feeds_;  // by the number that the user knows
    std::optional<std::string> lost_;                       // why this broker is of no use any more

    void note(const char* why, bool is_ended) noexcept {
        if (lost_) {
            return;
        }
        has_ended_ = is_ended;
        try {
            lost_ = why;
        } catch (...) {  // no memory is left for the words
            lost_.emplace();
        }
    }

    [[nodiscard]] bool is_wanted() const noexcept { return !feeds_.empty() || !requests_.empty(); }

    // What the user asks

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

    // What the broker says

    void take(const Incoming& incoming) {
        RecordReader record(incoming.body);
        if (!link_.is_live() && incoming.type != FAILED) {
            if (incoming.type != WELCOME) {
                throw Trouble("the broker broke the protocol: its first record is none that greets");
            }
            broker_pid_.store(link_.welcome(record, Clock::now()), std::memory_order_relaxed);
            greetings_ = 0;
            introduce();
        } else {
            switch (incoming.type) {
            case BEAT: break;
            case OPENED: take_opened(record); break;
            case LAST: take_last(record); break;
            case FAILED: take_failed(record); break;
            case DONE: take_done(record); break;
            case LOG: {
                const auto level = record.number<std::uint8_t>();
                voice_.later([level, line = std::string(record.text())](Voice& user) { user.log(level, line); });
                break;
            }
            case ANSWER: return;  // we ask nothing
            default: throw Trouble("the broker broke the protocol: a record of type " + std::to_string(incoming.type));
            }
        }
        record.end();
    }

    /// What an entry of the ring says. The callback is called at once.
    void tell(Feed& feed, const Entry& entry) {
        switch (entry.what) {
        case What::TEXT:
        case What::BINARY: voice_.data(feed.id, entry.payload, entry.remaining); break;
        case What::OPENED: tell_opened(feed, entry.client); break;
        case What::CLOSED: tell_closed(feed, entry); break;
        case What::ERROR:
            if (entry.client == 0 || entry.client == link_.client()) {
                voice_.error(feed.id, entry.payload);
            }
            break;
        }
    }

    // What is due

    /// Do it; when something is due next.
    Clock::time_point chores(Clock::time_point now) {
        auto next = Clock::time_point::max();
        if (!link_.is_live()) {
            return next;
        }
        for (auto& [id, feed] : feeds_) {
            if (feed->broker_id == 0 && !feed->is_asked) {
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

    /// This broker is of no use any more; go on with another one.
    void lose(const std::string& why) {
        const auto now = Clock::now();
        const bool was_live = link_.is_live();
        const auto blind_since = has_ended_ ? now : std::min(now, link_.last_heard());
        const bool is_early = has_ended_ && link_.has_socket() && !was_live && ++greetings_ < 5;
        link_.cut(now);
        broker_pid_.store(0, std::memory_order_relaxed);
        forget_requests(why, !was_live && !is_early);
        if (was_live) {
            voice_.later([](Voice& user) { user.disconnected(); });
            voice_.later([why](Voice& user) { user.log(3, why); });
            for (auto& [id, feed] : feeds_) {
                lose(feed, why, blind_since);
            }
            has_complained_ = false;
        } else if (!is_early && is_wanted() && !std::exchange(has_complained_, true)) {
            voice_.later([why](Voice& user) { user.error(0, why + "; it is tried again"); });
        }
    }

    /// The thread ends: nobody waits in vain.
    void answer_all() {
        for (auto& [number, request] : requests_) {
            answer(request.ticket, false);
        }
        requests_.clear();
        feeds_.clear();
    }

private:
    static constexpr std::size_t MOST_UNSENT = 64U << 20U;
    static constexpr seconds LOGIN{5};  // so long it may take until subscriptions follow by themselves
    static constexpr seconds LONGEST_PAUSE{30};

    std::map<std::uint32_t, Request> requests_;
    std::uint32_t last_request_ = 0;
    std::uint64_t last_own_id_ = std::uint64_t{1} << 63U;
    std::optional<std::uint8_t> level_;
    bool has_ended_ = false, has_complained_ = false;
    int greetings_ = 0;

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
            throw Trouble("the broker broke the protocol: an answer to nothing that was asked");
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

    // Opening

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

    void take_opened(RecordReader& record) {
        const Request request = release(record.number<std::uint32_t>());
        const auto id = record.number<std::uint64_t>();
        const bool is_new = record.number<std::uint8_t>() != 0;
        const auto start = record.number<std::uint64_t>();
        const auto lasts = record.number<std::uint32_t>();
        if (request.type != OPEN || id == 0) {
            throw Trouble("the broker broke the protocol: it opened what nobody asked for");
        }
        auto feed = by_broker(id);
        if (!feed && is_leaving(id)) {  // it was opened once more before the broker heard that it is left
            refuse(request, "it was closed meanwhile");
            return;
        }
        if (!feed) {
            feed = attach(request, id, start, is_new);
        }
        if (!feed) {
            leave(id);
            return;
        }
        feed->lasts += lasts;
        if (!request.feed) {
            later(feed, [](Voice& user, std::uint64_t number) { user.opened(number); });
            answer(request.ticket, true, feed->id, std::exchange(feed->is_fresh, false));
        }
    }

    /// Begin to read what the broker has opened; none if who wanted it has gone meanwhile.
    std::shared_ptr<Feed> attach(const Request& request, std::uint64_t id, std::uint64_t start, bool is_new) {
        try {
            Lent lent = link_.wire().take_lent();
            auto feed = request.feed ? request.feed : down(request.terms);
            if (feed ? feed->is_over : is_left(request.ticket)) {
                return nullptr;
            }
            if (!feed) {
                feed = std::make_shared<Feed>();
                feed->id = feeds_.count(id) == 0 ? id : ++last_own_id_;  // a second broker may count like the first
                feed->terms = request.terms;
            }
            feed->attach(id, std::move(lent), start);
            feeds_.emplace(feed->id, feed);
            feed->is_open = true;
            feed->is_fresh = is_new;
            tell_again(feed, request.feed != nullptr);
            return feed;
        } catch (const Trouble& error) {
            refuse(request, error.what());
            throw;
        }
    }

    /// It is read again, after a broker was lost.
    void tell_again(const std::shared_ptr<Feed>& feed, bool may_tell_opened) {
        feed->is_asked = false;
        const bool has_login = !feed->terms.options.opening.empty();
        if (may_tell_opened && (feed->is_fresh || has_login)) {
            later(feed, [](Voice& user, std::uint64_t id) { user.opened(id); });
        } else if (may_tell_opened) {
            later(feed, [](Voice& user, std::uint64_t id) { user.opened_for_other(id); });
        }
        if (feed->blind_since) {
            const auto blind = std::chrono::duration_cast<milliseconds>(Clock::now() - *feed->blind_since).count();
            complain(feed, "nothing was received for " + std::to_string(blind) + " ms: " + feed->blind_by + "; it is open again");
            feed->blind_since.reset();
        }
        if (!feed->wishes.empty()) {  // a login has to come first; with opening messages it has
            feed->wishes_due = Clock::now() + (has_login ? seconds(0) : LOGIN);
        }
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

    // Closing

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

    void drop(const std::shared_ptr<Feed>& feed) {
        feed->is_over = true;
        feeds_.erase(feed->id);
    }

    void close_for_user(const Operation& operation) {
        const auto found = feeds_.find(operation.id);
        if (operation.id != 0 && found == feeds_.end()) {
            refuse(operation.ticket, operation.id, "nothing to close: this client shares no WebSocket of this number");
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
        for (const auto& [id, feed] : std::exchange(feeds_, {})) {
            feed->is_over = true;
            request.leaves.push_back(feed->broker_id);
        }
        if (link_.is_live()) {
            say(close(keep(std::move(request)), 0));
        } else {
            answer(operation.ticket, true);
        }
    }

    // Everything else that users ask

    void operate_on_feed(Operation& operation) {
        const auto found = feeds_.find(operation.id);
        if (found == feeds_.end()) {
            refuse(operation.ticket, operation.id, "not sent: this client shares no WebSocket of this number");
            return;
        }
        const auto feed = found->second;
        if (feed->broker_id == 0) {
            refuse(operation.ticket, operation.id, "not sent: the broker has ended, and no other one has opened it yet");
            return;
        }
        if (link_.wire().unsent() > MOST_UNSENT) {
            refuse(operation.ticket, operation.id, "not sent: the broker does not take what was said before");
            return;
        }
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

    // Answers

    void take_last(RecordReader& record) {
        const auto feed = by_broker(record.number<std::uint64_t>());
        const Entry entry = Entry::decode(record.bytes());
        if (!feed) {
            return;  // it was closed meanwhile
        }
        if (feed->lasts == 0 || (entry.what != What::TEXT && entry.what != What::BINARY)) {
            throw Trouble("the broker broke the protocol: a last message that is none");
        }
        --feed->lasts;
        later(feed, [data = std::string(entry.payload), rest = entry.remaining](Voice& user, std::uint64_t id) {
            user.data(id, data, rest);
        });
    }

    void take_failed(RecordReader& record) {
        const auto number = record.number<std::uint32_t>();
        std::string why(record.text());
        why += ": ";
        why += record.text();
        if (number == 0) {
            throw Trouble("the broker refuses this client: " + why);
        }
        const Request request = release(number);
        if (request.type == OPEN && request.feed) {
            Feed& feed = *request.feed;
            feed.is_asked = false;
            feed.retry_at = Clock::now() + feed.pause;
            feed.pause = std::min<Clock::duration>(2 * feed.pause, LONGEST_PAUSE);
            complain(request.feed, "it could not be opened again (" + why + "); it is tried again");
        } else if (request.type == CLOSE) {
            answer(request.ticket, true);  // whatever it is, we do not share it any more
        } else {
            refuse(request, std::move(why));
        }
    }

    void take_done(RecordReader& record) {
        const Request request = release(record.number<std::uint32_t>());
        const bool value = record.number<std::uint8_t>() != 0;
        if (request.type == OPEN) {
            throw Trouble("the broker broke the protocol: it opened something without saying what");
        }
        if (request.type == SUBSCRIBE) {
            request.feed->want(request.wish);
        }
        answer(request.ticket, true, 0, value);
    }

    void tell_opened(Feed& feed, std::uint32_t client) {
        if (feed.is_open && !feed.has_missed) {
            return;  // it is the one that we were told of by *opened*
        }
        feed.is_open = true;
        feed.has_missed = false;
        feed.is_fresh = client != 0 && client == link_.client();
        if (client == 0 || feed.is_fresh) {
            voice_.opened(feed.id);
        } else {
            voice_.opened_for_other(feed.id);
        }
    }

    void tell_closed(Feed& feed, const Entry& entry) {
        const bool was_open = std::exchange(feed.is_open, false);
        voice_.log(3, "WebSocket " + std::to_string(feed.id) + " was closed with " + std::to_string(entry.code) + ": " +
                          std::string(entry.payload) + (entry.is_again ? "; it will be opened again" : ""));
        if (!entry.is_again) {
            leave(feed.broker_id);
            drop(feeds_.at(feed.id));
        }
        if (was_open) {
            voice_.closed(feed.id);
        }
    }

    // The end of a broker

    void lose(const std::shared_ptr<Feed>& feed, const std::string& why, Clock::time_point since) {
        feed->detach();
        if (!feed->blind_since) {
            feed->blind_since = since;
            feed->blind_by = why;
        }
        if (std::exchange(feed->is_open, false)) {
            later(feed, [](Voice& user, std::uint64_t id) { user.closed(id); });
        }
    }

    /// Only what is to be opened is asked of the next broker, and not for ever.
    void forget_requests(const std::string& why, bool is_hopeless) {
        std::map<std::uint32_t, Request> kept;
        for (auto& [number, request] : requests_) {
            if (request.type == CLOSE) {
                answer(request.ticket, true);
            } else if (request.type != OPEN) {
                refuse(request, "not done: " + why);
            } else if (!request.feed && !is_left(request.ticket)) {
                request.losses += request.is_sent ? 1 : 0;
                request.is_sent = false;
                if (is_hopeless || request.losses > 3) {
                    refuse(request, "the WebSocket cannot be opened: " + why);
                } else {
                    kept.emplace(number, std::move(request));
                }
            }
        }
        requests_ = std::move(kept);
    }
};

}  // namespace feedmux::local

#endif
