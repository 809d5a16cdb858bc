// What a user of websocket_proxy::WebsocketProxyClient implements, and the values of its calls.
#ifndef FEEDMUX_LOCAL_CALLBACK_HPP
#define FEEDMUX_LOCAL_CALLBACK_HPP

#include <cstdint>
#include <functional>
#include <string>

namespace websocket_proxy {

/// What of a symbol is subscribed to.
enum SubscriptionType : std::uint8_t { None = 0, Quotes = 1, Trades = 2 };

constexpr SubscriptionType operator|(SubscriptionType one, SubscriptionType other) noexcept {
    return static_cast<SubscriptionType>(static_cast<unsigned>(one) | static_cast<unsigned>(other));
}

/// What of the broker's log is wanted, from which level on.
struct LogLevel {
    enum level_enum : std::uint8_t { trace = 0, debug = 1, info = 2, warn = 3, err = 4, critical = 5, off = 6 };
};

/// Told of everything that happens, by the one thread of the client: while a call is on its way nothing else is
/// read. Every function of the client may be called from here, except its destructor. What a callback throws is
/// told to logError and goes no further.
class WebsocketProxyCallback {
public:
    virtual ~WebsocketProxyCallback() = default;

    /// The broker is gone. The client looks for another one, or starts it, and opens again what was open.
    virtual void onWebsocketProxyServerDisconnected() = 0;

    /// The WebSocket is open: after openWebSocket or openWebSocketAsync, and again after onWebsocketClosed if this
    /// client is the one who has to log in, or nobody has to.
    virtual void onWebsocketOpened(std::uint64_t id) = 0;

    /// It is not open any more.
    virtual void onWebsocketClosed(std::uint64_t id) = 0;

    /// Something went wrong, or was missed; `err` is a sentence. id 0: it concerns no WebSocket that is open.
    virtual void onWebsocketError(std::uint64_t id, const char* err, std::uint32_t len) = 0;

    /// A message, or a part of one: `remaining` bytes of it come with the next calls.
    virtual void onWebsocketData(std::uint64_t id, const char* data, std::uint32_t len, std::uint32_t remaining) = 0;

    /// It is open again after onWebsocketClosed, and another client of it logs in.
    virtual void onWebsocketOpenedForOther(std::uint64_t /*id*/) {}

    // Lines of the log, the client's own and the broker's; the text is made when the function is called.
    virtual void logError(std::function<std::string()>&& /*text*/) {}
    virtual void logWarning(std::function<std::string()>&& /*text*/) {}
    virtual void logInfo(std::function<std::string()>&& /*text*/) {}
    virtual void logDebug(std::function<std::string()>&& /*text*/) {}
};

}  // namespace websocket_proxy

#endif
