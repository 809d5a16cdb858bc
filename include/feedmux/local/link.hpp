// The way to a broker: it is looked for, started where nobody is, greeted, and kept alive.
//
//   phase      until                                        then
//   RESTING    somebody wants something, and the rest over   SEEKING
//   SEEKING    the socket is connected                       GREETING
//   GREETING   the welcome                                   LIVE
//   LIVE       a Trouble, from whatever call                 RESTING
//
// Time is the caller's: step() does what is due, next_at() says when to come again.
#ifndef FEEDMUX_LOCAL_LINK_HPP
#define FEEDMUX_LOCAL_LINK_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "records.hpp"
#include "system.hpp"
#include "wire.hpp"

namespace feedmux::local {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Who we are, and to whom we speak.
struct Names {
    std::string client;
    std::string program;
    std::string broker;
};

class Link {
public:
    enum class Phase { RESTING, SEEKING, GREETING, LIVE };

    explicit Link(Names names) : names_(std::move(names)) {}

    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] bool is_live() const noexcept { return phase_ == Phase::LIVE; }
    [[nodiscard]] bool has_socket() const noexcept { return phase_ == Phase::GREETING || is_live(); }
    [[nodiscard]] std::uint32_t client() const noexcept { return client_; }
    [[nodiscard]] Clock::time_point last_heard() const noexcept { return last_heard_; }
    Wire& wire() noexcept { return wire_; }

    /// Do not wait for the rest to be over.
    void hurry() noexcept { rest_until_ = Clock::time_point(); }

    /// Do what is due. is_wanted: somebody needs a broker. Throws Trouble if none can be had.
    void step(Clock::time_point now, bool is_wanted) {
        if (phase_ == Phase::RESTING && is_wanted && now >= rest_until_) {
            phase_ = Phase::SEEKING;
            deadline_ = now + PATIENCE;
            claim_ = claim_start(names_.broker);
            next_try_ = now;
            start_at_ = claim_ ? now : now + AGAIN;
        }
        if (phase_ == Phase::SEEKING && now >= next_try_) {
            seek(now);
        }
        if (phase_ == Phase::GREETING && now >= deadline_) {
            throw Trouble("the broker did not greet us within 10 s");
        }
        if (is_live() && now >= last_said_ + beat_) {
            say(beat(), now);
        }
    }

    /// Throws Trouble if the broker said nothing for too long; ask after the socket was read.
    void check_silence(Clock::time_point now) const {
        if (is_live() && now >= last_heard_ + dead_) {
            throw Trouble("the broker said nothing for " +
                          std::to_string(std::chrono::duration_cast<milliseconds>(dead_).count()) + " ms");
        }
    }

    [[nodiscard]] Clock::time_point next_at(bool is_wanted) const noexcept {
        switch (phase_) {
        case Phase::RESTING: return is_wanted ? rest_until_ : Clock::time_point::max();
        case Phase::SEEKING: return next_try_;
        case Phase::GREETING: return deadline_;
        case Phase::LIVE: break;
        }
        return std::min(last_said_ + beat_, last_heard_ + dead_);
    }

    void say(std::string_view record, Clock::time_point now) {
        last_said_ = now;
        wire_.say(record);
    }

    /// The socket gave something.
    void heard(Clock::time_point now) noexcept { last_heard_ = now; }

    /// Read the welcome; the pid of the broker. Throws Trouble if it is none.
    std::uint32_t welcome(RecordReader& record, Clock::time_point now) {
        if (record.number<std::uint32_t>() != MAGIC) {
            throw Trouble("who answers under the name of the broker is none");
        }
        if (const auto version = record.number<std::uint16_t>(); version != VERSION) {
            throw Trouble("the broker speaks version " + std::to_string(version) + "; this client speaks 1");
        }
        const auto pid = record.number<std::uint32_t>();
        client_ = record.number<std::uint32_t>();
        beat_ = milliseconds(std::clamp<std::uint32_t>(record.number<std::uint32_t>(), 10, 60'000));
        dead_ = std::max<Clock::duration>(milliseconds(record.number<std::uint32_t>()), 2 * beat_);
        phase_ = Phase::LIVE;
        live_since_ = last_heard_ = now;
        return pid;
    }

    /// Let go of the socket; for how long nobody is looked for depends on how often that has happened lately.
    void cut(Clock::time_point now) noexcept {
        if (is_live() && now - live_since_ >= STEADY) {
            failures_ = 0;
        }
        const auto rest = failures_ == 0 ? milliseconds(0) : milliseconds(100) * (1 << std::min(failures_, 10));
        rest_until_ = now + std::min(rest, LONGEST);
        ++failures_;
        wire_ = Wire();
        claim_.close();
        phase_ = Phase::RESTING;
    }

private:
    static constexpr seconds PATIENCE{10}, AGAIN{2}, STEADY{5};
    static constexpr milliseconds PAUSE{10}, LONGEST{5000};

    Names names_;
    Phase phase_ = Phase::RESTING;
    Wire wire_;
    Descriptor claim_;  // while it is ours to start a broker
    std::uint32_t client_ = 0;
    int failures_ = 0;
    Clock::duration beat_ = milliseconds(500), dead_ = seconds(15);
    Clock::time_point rest_until_, deadline_, next_try_, start_at_, last_said_, last_heard_, live_since_;

    void seek(Clock::time_point now) {
        if (Descriptor socket = connect_to_broker(names_.broker)) {
            wire_ = Wire(std::move(socket));
            claim_.close();
            phase_ = Phase::GREETING;
            say(hello(static_cast<std::uint32_t>(::getpid()), names_.client), now);
            return;
        }
        if (now >= deadline_) {
            throw Trouble("no broker came up within 10 s; `" + names_.program + " share --name " + names_.broker +
                          "` may say why");
        }
        if (now >= start_at_) {  // again after a while: one that was ending may have kept ours from its place
            start_broker(names_.program, names_.broker);
            start_at_ = now + AGAIN;
        }
        next_try_ = now + PAUSE;
    }
};

}  // namespace feedmux::local

#endif
