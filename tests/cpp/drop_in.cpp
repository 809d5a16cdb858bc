// The calls of a program that was written for websocket_proxy, and nothing that it did not have.
//
// Arguments: the program that is the broker, the WebSocket's address.
#include <websocket_proxy/websocket_proxy_client.h>

#include <atomic>

namespace {

void say(const std::string& line) { std::cout << line + "\n" << std::flush; }

class Client : public websocket_proxy::WebsocketProxyCallback {
public:
    void onWebsocketProxyServerDisconnected() override { say("disconnected"); }
    void onWebsocketOpened(uint64_t id) override { say(id != 0 ? "opened" : "opened nothing"); }
    void onWebsocketClosed(uint64_t) override { say("closed"); }
    void onWebsocketError(uint64_t, const char* err, uint32_t len) override { say("error " + std::string(err, len)); }
    void onWebsocketData(uint64_t, const char* data, uint32_t len, uint32_t) override {
        say("data " + std::string(data, len));
        has_data = true;
    }
    void logInfo(std::function<std::string()>&& text) override { text(); }

    std::atomic<bool> has_data{false};
};

std::string yes(bool is_so) { return is_so ? " yes" : " no"; }

}  // namespace

int main(int, char** arguments) {
    Client callback;
    websocket_proxy::WebsocketProxyClient client(&callback, "DropIn", arguments[1]);
    auto [id, is_new] = client.openWebSocket(arguments[2], "a key");
    if (!id || !is_new) {
        return 1;
    }
    client.setLogLevel(websocket_proxy::LogLevel::info);
    std::string message = R"({"subscribe": "AAPL"})";
    const auto size = static_cast<uint32_t>(message.size());
    bool existing = true;
    const auto type = websocket_proxy::SubscriptionType::Trades;
    const bool is_done = client.subscribe(id, "AAPL", message.c_str(), size, type, existing);
    say("subscribed" + yes(is_done) + yes(existing));
    client.send(id, "echo go", 7);
    for (int left = 1000; left > 0 && !callback.has_data; --left) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    say("server" + yes(client.serverId() != 0));
    say("unsubscribed" + yes(client.unsubscribe(id, "AAPL", "bye", 3)));
    say("left" + yes(client.closeWebSocket(id)));
    say("left all" + yes(client.closeWebSocket()));
    return 0;
}
