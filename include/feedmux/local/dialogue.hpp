// What the broker answers and tells, through the socket and the rings; and what becomes of all that when it ends.
//
// Everything here happens on the thread of the client (worker.hpp). A Trouble that leaves a function means that
// this broker is of no use any more.
#ifndef FEEDMUX_LOCAL_DIALOGUE_HPP
#define FEEDMUX_LOCAL_DIALOGUE_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "asks.hpp"
#include "ring.hpp"
#include "wire.hpp"

namespace feedmux::local {

class Dialogue : protected Asks {
protected:
    using Asks::Asks;

    std::optional<std::string> lost_;  // why this broker is of no use any more

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

    // What the broker says

    void take(const Incoming& incoming) {
        RecordReader record(incoming.body);
        if (!link_.is_live() && incoming.type != FAILED) {
            if (incoming.type != WELCOME) {
                throw Violation("its first record is none that greets");
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
            default: throw Violation("a record of type " + std::to_string(incoming.type));
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
        while (!feeds_.empty()) {
            drop(feeds_.begin()->second);
        }
        for (auto& [number, request] : requests_) {
            answer(request.ticket, false);
        }
        requests_.clear();
    }

private:
    static constexpr seconds LOGIN{5};  // so long it may take until subscriptions follow by themselves
    static constexpr seconds LONGEST_PAUSE{30};

    std::uint64_t last_own_id_ = std::uint64_t{1} << 63U;
    bool has_ended_ = false, has_complained_ = false;
    int greetings_ = 0;

    void take_opened(RecordReader& record) {
        const Request request = release(record.number<std::uint32_t>());
        const auto id = record.number<std::uint64_t>();
        const bool is_new = record.number<std::uint8_t>() != 0;
        const auto start = record.number<std::uint64_t>();
        const auto lasts = record.number<std::uint32_t>();
        if (request.type != OPEN || id == 0) {
            throw Violation("it opened what nobody asked for");
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
        for (Operation& operation : std::exchange(feed->waiting, {})) {
            if (!is_left(operation.ticket)) {
                operate(std::move(operation));
            }
        }
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
            if (feeds_.emplace(feed->id, feed).second && !is_new) {
                feed->may_need_login = true;
            }
            feed->is_given_up = false;
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
            complain(feed, "nothing was received for " + std::to_string(blind) + " ms: " + feed->blind_by +
                               "; it is open again");
            feed->blind_since.reset();
        }
        if (!feed->wishes.empty()) {  // a login has to come first; with opening messages it has
            feed->wishes_due = Clock::now() + (feed->may_need_login && !has_login ? LOGIN : seconds(0));
        }
    }

    void take_last(RecordReader& record) {
        const auto feed = by_broker(record.number<std::uint64_t>());
        const Entry entry = Entry::decode(record.bytes());
        if (!feed) {
            return;  // it was closed meanwhile
        }
        if (feed->lasts == 0 || (entry.what != What::TEXT && entry.what != What::BINARY)) {
            throw Violation("a last message that is none");
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
            throw Violation("it opened something without saying what");
        }
        if (request.type == SUBSCRIBE) {
            request.feed->want(request.wish);
        }
        answer(request.ticket, true, 0, value);
    }

    /// A WebSocket is open again; or it is open, and somebody else has to log in from now on.
    void tell_opened(Feed& feed, std::uint32_t client) {
        const bool is_news = !feed.is_open || feed.has_missed;
        feed.is_open = true;
        feed.has_missed = false;
        feed.is_fresh = client != 0 && client == link_.client();
        if (feed.is_fresh || (is_news && client == 0)) {
            voice_.opened(feed.id);
        } else if (is_news) {
            voice_.opened_for_other(feed.id);
        }
    }

    /// It will be opened again by this broker; or never by this one, and then by the next one.
    void tell_closed(Feed& feed, const Entry& entry) {
        const std::string reason(entry.payload);
        voice_.log(3, "WebSocket " + std::to_string(feed.id) + " was closed with " + std::to_string(entry.code) + ": " +
                          reason + (entry.is_again ? "; it will be opened again" : ""));
        const bool was_open = std::exchange(feed.is_open, false);
        if (!entry.is_again) {
            feed.detach();
            feed.is_given_up = true;
            feed.blind_since = Clock::now();
            feed.blind_by = reason;
        }
        if (was_open) {
            voice_.closed(feed.id);
        }
    }

    // The end of a broker

    void lose(const std::shared_ptr<Feed>& feed, const std::string& why, Clock::time_point since) {
        feed->detach();
        feed->is_given_up = false;
        if (!feed->blind_since) {
            feed->blind_since = since;
            feed->blind_by = why;
        }
        if (std::exchange(feed->is_open, false)) {
            later(feed, [](Voice& user, std::uint64_t id) { user.closed(id); });
        }
    }

    /// Have the next broker asked for what somebody waits for; wishes that are known follow by themselves.
    void ask_again(Request request) {
        if (request.ticket && !request.feed->is_over) {
            Operation operation;
            operation.type = request.type;
            operation.id = request.feed->id;
            operation.wish = std::move(request.wish);
            operation.ticket = std::move(request.ticket);
            request.feed->waiting.push_back(std::move(operation));
        } else {
            answer(request.ticket, false);
        }
    }

    /// What is to be opened is asked of the next broker, but not for ever.
    void forget_requests(const std::string& why, bool is_hopeless) {
        std::map<std::uint32_t, Request> kept;
        for (auto& [number, request] : requests_) {
            if (request.type == CLOSE) {
                answer(request.ticket, true);
            } else if (request.type != OPEN) {
                ask_again(std::move(request));
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
