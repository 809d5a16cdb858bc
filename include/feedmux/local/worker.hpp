// The thread of one client: the only one that speaks to the broker, reads rings, and calls the user.
//
// Theory of operation
// ===================
// The thread sleeps in poll() on its socket, on the bell of each ring, and on a bell of its own that the user's
// calls ring. A call of the user's is an Operation; if it waits for an answer it holds a Ticket. One that is
// made within a callback is done at once, on the thread itself: it turns the loop until it has its answer, but
// what comes meanwhile is told after the callback has returned, and no ring is read.
//
// A Trouble from anywhere means that this broker is of no use any more. It is noted, and when no callback is
// on its way, what the rings still hold is read, everything is told to be closed, and all is opened again at
// the next broker, under the same numbers.
#ifndef FEEDMUX_LOCAL_WORKER_HPP
#define FEEDMUX_LOCAL_WORKER_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>

#include "dialogue.hpp"

namespace feedmux::local {

class Worker : private Dialogue {
public:
    Worker(Voice::Callback* callback, Names names) : Dialogue(callback, std::move(names)) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    ~Worker() {
        {
            const std::lock_guard lock(mutex_);
            is_ending_ = true;
        }
        wake_.ring();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    [[nodiscard]] std::uint64_t server_id() const noexcept { return broker_pid_.load(std::memory_order_relaxed); }

    /// Do this on the thread, and do not wait.
    void post(Operation operation) {
        if (is_here()) {
            guarded([&] { operate(std::move(operation)); });
            return;
        }
        push(std::move(operation));
    }

    /// Do this on the thread, and wait for its answer, at most so long. What is not done then is not granted.
    Ticket ask(Operation operation, Clock::duration patience) {
        const auto ticket = operation.ticket = std::make_shared<Ticket>();
        const auto until = Clock::now() + patience;
        if (is_here()) {
            guarded([&] { operate(std::move(operation)); });
            while (!is_over(*ticket) && !lost_ && Clock::now() < until) {
                turn(until, false);
            }
        } else {
            push(std::move(operation));
        }
        const Ticket found = collect(*ticket, until);
        if (found.is_left) {
            Operation complaint;
            complaint.type = FAILED;
            complaint.payload = "what was asked of the broker was not answered in time";
            post(std::move(complaint));
        }
        return found;
    }

private:
    static constexpr int MOST_RECORDS = 256;  // of one ring in one turn; then everybody else has a turn

    Bell wake_;
    std::deque<Operation> operations_;
    std::thread thread_;
    bool is_ending_ = false;
    std::string record_;
    std::vector<pollfd> polled_;

    static const Worker*& here() noexcept {
        static thread_local const Worker* worker = nullptr;
        return worker;
    }
    [[nodiscard]] bool is_here() const noexcept { return here() == this; }

    Ticket collect(Ticket& ticket, Clock::time_point until) {
        std::unique_lock lock(mutex_);
        if (!is_here()) {
            answered_.wait_until(lock, until, [&] { return ticket.is_done; });
        }
        ticket.is_left = !ticket.is_done;
        return ticket;
    }

    bool is_over(const Ticket& ticket) {
        const std::lock_guard lock(mutex_);
        return ticket.is_done || is_ending_;
    }

    bool is_ending() {
        const std::lock_guard lock(mutex_);
        return is_ending_;
    }

    void push(Operation operation) {
        {
            const std::lock_guard lock(mutex_);
            operations_.push_back(std::move(operation));
            if (!thread_.joinable()) {
                begin();
            }
        }
        wake_.ring();
    }

    /// Start the thread; signals are for the threads of the user.
    void begin() {
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            thread_ = std::thread([this] { run(); });
        } catch (...) {
            ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
            throw;
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void run() {
        here() = this;
        bool has_more = false;
        while (!is_ending()) {
            const bool may_sleep = !has_more && !lost_ && !voice_.has_waiting();
            turn(may_sleep ? Clock::time_point::max() : Clock::time_point(), true);
            guarded([&] { voice_.deliver(); });
            guarded([&] { has_more = read_rings(); });
            if (lost_) {
                guarded([&] {
                    drain();
                    lose(*std::exchange(lost_, std::nullopt));
                });
            }
        }
        guarded([&] { part(); });
        answer_all();
        here() = nullptr;
    }

    /// Whatever goes wrong, this broker is of no use any more; the loop goes on.
    template <typename Call>
    void guarded(Call&& call) noexcept {
        try {
            call();
        } catch (const Ended& error) {
            note(error.what(), true);
        } catch (const std::exception& error) {
            note(error.what(), false);
        }
    }

    /// One turn: what users ask, what is due, then sleep until there is something or it is `until`.
    void turn(Clock::time_point until, bool may_read) {
        guarded([&] {
            take_operations();
            const auto now = Clock::now();
            link_.step(now, is_wanted());
            until = std::min({until, chores(now), link_.next_at(is_wanted())});
            wait(until, may_read);
            if (link_.has_socket()) {
                listen();
            }
        });
    }

    void take_operations() {
        std::deque<Operation> taken;
        {
            const std::lock_guard lock(mutex_);
            taken.swap(operations_);
        }
        for (auto& operation : taken) {
            guarded([&] { operate(std::move(operation)); });
        }
    }

    void wait(Clock::time_point until, bool may_read) {
        polled_.clear();
        polled_.push_back({wake_.number(), POLLIN, 0});
        if (link_.has_socket()) {
            const int wanted = link_.wire().has_unsent() ? POLLIN | POLLOUT : POLLIN;
            polled_.push_back({link_.wire().number(), static_cast<short>(wanted), 0});
        }
        bool is_asleep = true;
        for (auto& [id, feed] : feeds_) {
            if (may_read && feed->is_read()) {
                is_asleep = feed->ring.sleep() && is_asleep;
                polled_.push_back({feed->bell.number(), POLLIN, 0});
            }
        }
        // An operation that came since was pushed before its bell rang: poll returns at once.
        ::poll(polled_.data(), polled_.size(), is_asleep ? milliseconds_until(until) : 0);
        if (polled_[0].revents != 0) {
            wake_.silence();
        }
        std::size_t place = link_.has_socket() ? 2 : 1;
        for (auto& [id, feed] : feeds_) {
            if (may_read && feed->is_read()) {
                feed->ring.rise();
                if (polled_[place++].revents != 0) {
                    feed->bell.silence();
                }
            }
        }
    }

    static int milliseconds_until(Clock::time_point until) {
        if (until == Clock::time_point::max()) {
            return -1;
        }
        const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
        return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }

    /// Read what the socket has, a bounded amount, and judge afterwards whether it was silent for too long: a
    /// callback may have kept us from reading.
    void listen() {
        Wire& wire = link_.wire();
        wire.flush();
        for (int rest = 64; rest > 0 && wire.receive(); --rest) {
            link_.heard(Clock::now());
            Incoming record;
            while (wire.next(record)) {
                take(record);
            }
        }
        link_.check_silence(Clock::now());
    }

    /// Whether there may be more to read at once.
    bool read_rings() {
        std::vector<std::shared_ptr<Feed>> read;  // a callback may open and close some
        for (const auto& [id, feed] : feeds_) {
            read.push_back(feed);
        }
        bool has_more = false;
        for (const auto& feed : read) {
            has_more = read_some(*feed) || has_more;
        }
        return has_more;
    }

    bool read_some(Feed& feed) {
        for (int left = MOST_RECORDS; left > 0; --left) {
            const Found found = feed.is_read() ? feed.ring.read(record_) : Found::NOTHING;
            if (found == Found::NOTHING) {
                return false;
            }
            if (found == Found::LAPPED) {
                feed.has_missed = true;
                voice_.error(feed.id, "data was missed: this client was too slow, and " +
                                          std::to_string(feed.ring.missed()) +
                                          " bytes were overwritten before it read them");
            } else {
                tell(feed, Entry::decode(record_));
            }
        }
        return true;
    }

    /// Read what the broker has written before it ended. It stays lost: calls in callbacks are not granted.
    void drain() {
        const auto until = Clock::now() + seconds(1);  // one that was only silent may go on writing
        voice_.deliver();
        try {
            while (link_.is_live() && read_rings() && Clock::now() < until) {
            }
        } catch (const std::exception& error) {
            voice_.log(3, std::string("what the broker wrote last cannot be read: ") + error.what());
        }
    }

    /// Say what is left to be said, for a moment at most.
    void part() {
        take_operations();
        const auto until = Clock::now() + seconds(1);
        while (link_.is_live() && link_.wire().has_unsent() && Clock::now() < until) {
            pollfd socket{link_.wire().number(), POLLOUT, 0};
            ::poll(&socket, 1, milliseconds_until(until));
            link_.wire().flush();
        }
        link_.cut(Clock::now());
    }
};

}  // namespace feedmux::local

#endif
