// Share WebSockets with the other programs of this machine, through the broker `feedmux share`.
//
// Header-only, C++17, Linux, nothing but the standard library and threads (-pthread). The interface is that of
// websocket_proxy; docs/local-cpp.md has ten lines to begin with and says what differs.
#ifndef FEEDMUX_LOCAL_CLIENT_HPP
#define FEEDMUX_LOCAL_CLIENT_HPP

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "local/callback.hpp"
#include "local/feed.hpp"
#include "local/records.hpp"
#include "local/system.hpp"
#include "local/worker.hpp"

namespace websocket_proxy {

using feedmux::local::Message;
using feedmux::local::OpenOptions;

/// Shares WebSockets. It has one thread, which is started by the first call that needs it and calls the callback.
/// Functions may be called from any thread, and within callbacks; those that wait say for how long.
class WebsocketProxyClient {
public:
    /// callback: told of everything; it has to live longer than this client.
    /// name: under which the broker knows this client.
    /// proxy_exe_path: the program `feedmux`, which is started if no broker runs; without a slash it is looked
    /// for in PATH.
    /// broker: the name of the broker; empty: that of the environment variable FEEDMUX_SHARE_NAME, else `default`.
    ///
    /// Throws std::runtime_error if there is no such program, or the system has no descriptor left.
    WebsocketProxyClient(WebsocketProxyCallback* callback, std::string&& name, std::string&& proxy_exe_path,
                         std::string broker = {})
        : worker_(callback, {std::move(name), found(proxy_exe_path), named(std::move(broker))}) {}

    WebsocketProxyClient(const WebsocketProxyClient&) = delete;
    WebsocketProxyClient& operator=(const WebsocketProxyClient&) = delete;

    /// Leaves everything, and waits until the callback that is on its way has returned. Not within a callback.
    ~WebsocketProxyClient() = default;

    /// Open a WebSocket, or share one of the same address and key that is open; waits for at most 30 s.
    ///
    /// Returns: its number, 0 if it cannot be opened (onWebsocketError has said why); and whether this client has
    /// to log in.
    std::pair<std::uint64_t, bool> openWebSocket(const std::string& url, const std::string& api_key = "",
                                                 const OpenOptions& options = {}) {
        const auto answer = worker_.ask(to_open(url, api_key, options), std::chrono::seconds(30));
        return answer.is_granted ? std::pair(answer.value, answer.flag) : std::pair(std::uint64_t{0}, false);
    }

    /// Likewise, and do not wait: onWebsocketOpened says its number, or onWebsocketError why there is none.
    bool openWebSocketAsync(const std::string& url, const std::string& api_key = "",
                            const OpenOptions& options = {}) {
        worker_.post(to_open(url, api_key, options));
        return true;
    }

    /// Leave a WebSocket; 0: all of them. Waits for at most 10 s; afterwards nothing more is told of it.
    ///
    /// Returns: false if it is none of this client's, or the broker did not answer.
    bool closeWebSocket(std::uint64_t id = 0) {
        return worker_.ask(about(feedmux::local::CLOSE, id), PATIENCE).is_granted;
    }

    /// Send a message as it is. onWebsocketError says so if it cannot be sent.
    void send(std::uint64_t id, const char* msg, std::uint32_t len, bool is_binary = false) {
        auto operation = about(feedmux::local::SEND, id);
        operation.payload.assign(msg, len);
        operation.is_binary = is_binary;
        worker_.post(std::move(operation));
    }

    /// Want a symbol; waits for at most 10 s. The request is sent if no program wanted it before.
    ///
    /// existing: becomes whether one did.
    /// release: asks for no more of it; sent if this program dies and no other one wants it.
    ///
    /// Returns: whether it is wanted now; if not, onWebsocketError says why.
    bool subscribe(std::uint64_t id, const std::string& symbol, const char* subscription_request,
                   std::uint32_t request_len, SubscriptionType type, bool& existing, std::string_view release = {}) {
        auto operation = about(feedmux::local::SUBSCRIBE, id);
        operation.wish = {symbol, type, std::string(subscription_request, request_len), std::string(release)};
        const auto answer = worker_.ask(std::move(operation), PATIENCE);
        existing = answer.is_granted && answer.flag;
        return answer.is_granted;
    }

    /// Want it no more; waits for at most 10 s. The request is sent if no other program wants it.
    bool unsubscribe(std::uint64_t id, const std::string& symbol, const char* unsubscription_request,
                     std::uint32_t request_len) {
        auto operation = about(feedmux::local::UNSUBSCRIBE, id);
        operation.wish = {symbol, 0, std::string(unsubscription_request, request_len), {}};
        return worker_.ask(std::move(operation), PATIENCE).is_granted;
    }

    /// Have the broker's log told from this level on, to logError, logWarning, logInfo and logDebug.
    bool setLogLevel(LogLevel::level_enum level) {
        auto operation = about(feedmux::local::LOG_LEVEL, 0);
        operation.level = level;
        worker_.post(std::move(operation));
        return true;
    }

    /// The process of the broker; 0 while there is none.
    [[nodiscard]] std::uint64_t serverId() const noexcept { return worker_.server_id(); }

private:
    using Operation = feedmux::local::Operation;
    static constexpr std::chrono::seconds PATIENCE{10};

    feedmux::local::Worker worker_;

    static std::string found(const std::string& path) {
        std::string program = feedmux::local::find_program(path);
        if (program.empty()) {
            throw std::runtime_error(path + " is no program; expected the path of `feedmux`");
        }
        return program;
    }

    static std::string named(std::string broker) {
        const char* chosen = broker.empty() ? std::getenv("FEEDMUX_SHARE_NAME") : nullptr;
        broker = chosen != nullptr ? chosen : std::move(broker);
        return broker.empty() ? "default" : broker;
    }

    static Operation about(feedmux::local::Type type, std::uint64_t id) {
        Operation operation;
        operation.type = type;
        operation.id = id;
        return operation;
    }

    static Operation to_open(const std::string& url, const std::string& key, const OpenOptions& options) {
        auto operation = about(feedmux::local::OPEN, 0);
        operation.terms = {url, key, options};
        return operation;
    }
};

}  // namespace websocket_proxy

#endif
