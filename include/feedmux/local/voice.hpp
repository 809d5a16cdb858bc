// What is told to the user, one thing after the other; nothing that he throws goes further.
#ifndef FEEDMUX_LOCAL_VOICE_HPP
#define FEEDMUX_LOCAL_VOICE_HPP

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "callback.hpp"

namespace feedmux::local {

/// Calls the user's functions. What a record of the broker brings is told later: it may be read while one of
/// the user's own functions waits for an answer.
class Voice {
public:
    using Callback = websocket_proxy::WebsocketProxyCallback;

    explicit Voice(Callback* callback) noexcept : callback_(callback) {}

    void later(std::function<void(Voice&)> what) { waiting_.push_back(std::move(what)); }

    [[nodiscard]] bool has_waiting() const noexcept { return !waiting_.empty(); }

    /// Tell what waits, in its order.
    void deliver() {
        while (!waiting_.empty()) {
            const auto next = std::move(waiting_.front());
            waiting_.pop_front();
            next(*this);
        }
    }

    void disconnected() noexcept {
        guard([](Callback& user) { user.onWebsocketProxyServerDisconnected(); });
    }
    void opened(std::uint64_t id) noexcept {
        guard([id](Callback& user) { user.onWebsocketOpened(id); });
    }
    void opened_for_other(std::uint64_t id) noexcept {
        guard([id](Callback& user) { user.onWebsocketOpenedForOther(id); });
    }
    void closed(std::uint64_t id) noexcept {
        guard([id](Callback& user) { user.onWebsocketClosed(id); });
    }
    void error(std::uint64_t id, std::string_view text) noexcept {
        const auto size = static_cast<std::uint32_t>(text.size());
        guard([=](Callback& user) { user.onWebsocketError(id, text.data(), size); });
    }
    void data(std::uint64_t id, std::string_view data, std::uint32_t remaining) noexcept {
        const auto size = static_cast<std::uint32_t>(data.size());
        guard([=](Callback& user) { user.onWebsocketData(id, data.data(), size, remaining); });
    }

    /// level: as in websocket_proxy::LogLevel.
    void log(std::uint8_t level, const std::string& line) noexcept {
        guard([&](Callback& user) {
            std::function<std::string()> text = [line] { return line; };
            switch (level) {
            case 0:
            case 1: user.logDebug(std::move(text)); break;
            case 2: user.logInfo(std::move(text)); break;
            case 3: user.logWarning(std::move(text)); break;
            default: user.logError(std::move(text)); break;
            }
        });
    }

private:
    Callback* callback_;
    std::deque<std::function<void(Voice&)>> waiting_;

    template <typename Call>
    void guard(Call&& call) noexcept {
        try {
            call(*callback_);
        } catch (const std::exception& error) {
            complain(error.what());
        } catch (...) {
            complain("something that is no std::exception");
        }
    }

    void complain(const char* what) noexcept {
        try {
            callback_->logError([what = std::string(what)] { return "a callback threw: " + what; });
        } catch (...) {  // there is nobody else to tell
        }
    }
};

}  // namespace feedmux::local

#endif
