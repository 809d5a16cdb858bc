// A client that does what its input says, and writes a line for everything that it is told.
//
// Arguments: the program that is the broker, its name. Fields of a line are separated by tabs; the first one is
// what is done, and stands in the answer, too. Data are written as they are: tests send none with line ends.
#include <feedmux/local_client.hpp>

#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Fields = std::vector<std::string>;
std::mutex output;

template <typename... Parts>
void write(const Parts&... parts) {
    const std::lock_guard lock(output);
    const char* mark = "";
    ((std::cout << mark << parts, mark = "\t"), ...);
    std::cout << std::endl;
}

class Puppet : public websocket_proxy::WebsocketProxyCallback {
public:
    std::atomic<int> slow_ms{0};
    std::atomic<bool> throws{false}, nests{false};
    websocket_proxy::WebsocketProxyClient* client = nullptr;

    void onWebsocketProxyServerDisconnected() override { write("disconnected"); }

    void onWebsocketOpened(std::uint64_t id) override {
        write("opened", id);
        if (nests) {  // calls within a callback are answered before they return
            const std::string message = "within";
            bool existing = true;
            const bool is_done = client->subscribe(id, "NEST", message.data(), 6, websocket_proxy::Quotes, existing);
            write("nested", is_done, existing);
            write("nested again", client->openWebSocket("ws://127.0.0.1:9/").first);
        }
    }

    void onWebsocketOpenedForOther(std::uint64_t id) override { write("opened for other", id); }
    void onWebsocketClosed(std::uint64_t id) override { write("closed", id); }
    void onWebsocketError(std::uint64_t id, const char* err, std::uint32_t len) override {
        write("error", id, std::string(err, len));
    }

    void onWebsocketData(std::uint64_t id, const char* data, std::uint32_t len, std::uint32_t remaining) override {
        const std::string whole(data, len);
        write("data", id, remaining, len > 100 ? std::to_string(len) + " bytes of " + whole[0] : whole);
        std::this_thread::sleep_for(std::chrono::milliseconds(slow_ms.load()));
        if (throws) {
            throw std::runtime_error("a defect of the user's");
        }
    }

    void logError(std::function<std::string()>&& text) override { write("log", "error", text()); }
    void logWarning(std::function<std::string()>&& text) override { write("log", "warning", text()); }
    void logInfo(std::function<std::string()>&& text) override { write("log", "info", text()); }
    void logDebug(std::function<std::string()>&& text) override { write("log", "debug", text()); }
};

std::uint32_t size(const std::string& text) { return static_cast<std::uint32_t>(text.size()); }

void obey(const Fields& said, websocket_proxy::WebsocketProxyClient& client, Puppet& puppet) {
    const std::string& verb = said[0];
    const auto field = [&](std::size_t place) { return place < said.size() ? said[place] : std::string(); };
    const auto number = [&](std::size_t place) { return std::stoull("0" + field(place)); };
    if (verb == "open") {
        websocket_proxy::OpenOptions options;
        if (said.size() > 3) {
            options.opening.push_back({field(3), false});
        }
        options.last_by = field(4);
        const auto [id, is_new] = client.openWebSocket(field(1), field(2), options);
        write(verb, id, is_new);
    } else if (verb == "open async") {
        write(verb, client.openWebSocketAsync(field(1), field(2)));
    } else if (verb == "close") {
        write(verb, client.closeWebSocket(number(1)));
    } else if (verb == "send") {
        client.send(number(1), field(2).data(), size(field(2)), said.size() > 3);
    } else if (verb == "send large") {
        const std::string large(number(2), 'x');
        client.send(number(1), large.data(), size(large));
    } else if (verb == "subscribe") {
        bool existing = false;
        const auto kinds = static_cast<websocket_proxy::SubscriptionType>(number(3));
        const bool is_done =
            client.subscribe(number(1), field(2), field(4).data(), size(field(4)), kinds, existing, field(5));
        write(verb, is_done, existing);
    } else if (verb == "unsubscribe") {
        write(verb, client.unsubscribe(number(1), field(2), field(3).data(), size(field(3))));
    } else if (verb == "level") {
        write(verb, client.setLogLevel(static_cast<websocket_proxy::LogLevel::level_enum>(number(1))));
    } else if (verb == "server") {
        write(verb, client.serverId());
    } else if (verb == "slow") {
        puppet.slow_ms = static_cast<int>(number(1));
        write(verb);
    } else if (verb == "throw") {
        puppet.throws = true;
        write(verb);
    } else if (verb == "nest") {
        puppet.nests = true;
        write(verb);
    } else {
        write("what?", verb);
    }
}

}  // namespace

int main(int, char** arguments) {
    Puppet puppet;
    try {
        websocket_proxy::WebsocketProxyClient client(&puppet, "puppet", arguments[1], arguments[2]);
        puppet.client = &client;
        for (std::string line; std::getline(std::cin, line);) {
            Fields said;
            std::istringstream parts(line);
            for (std::string part; std::getline(parts, part, '\t');) {
                said.push_back(part);
            }
            obey(said, client, puppet);
        }
    } catch (const std::runtime_error& error) {
        write("refused", error.what());
        return 1;
    }
    write("over");
    return 0;
}
