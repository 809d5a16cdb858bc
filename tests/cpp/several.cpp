// Several clients and threads in one process: all share one WebSocket, are woken by the same message, and leave.
//
// Arguments: the program that is the broker, its name, the WebSocket's address.
#include <feedmux/local_client.hpp>

#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

class Listener : public websocket_proxy::WebsocketProxyCallback {
public:
    void onWebsocketProxyServerDisconnected() override {}
    void onWebsocketOpened(std::uint64_t) override {}
    void onWebsocketClosed(std::uint64_t) override {}
    void onWebsocketError(std::uint64_t, const char* err, std::uint32_t len) override {
        std::cerr << std::string(err, len) << std::endl;
    }
    void onWebsocketData(std::uint64_t, const char* data, std::uint32_t len, std::uint32_t) override {
        const std::lock_guard lock(mutex_);
        has_heard_ = has_heard_ || std::string(data, len) == "go";
        heard_.notify_all();
    }
    bool hears() {
        std::unique_lock lock(mutex_);
        return heard_.wait_for(lock, std::chrono::seconds(20), [this] { return has_heard_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable heard_;
    bool has_heard_ = false;
};

}  // namespace

int main(int, char** arguments) {
    constexpr int MANY = 4;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::vector<std::unique_ptr<websocket_proxy::WebsocketProxyClient>> clients;
    std::vector<std::thread> threads;
    std::vector<std::pair<std::uint64_t, bool>> opened(MANY * 2);
    for (int place = 0; place < MANY; ++place) {
        listeners.push_back(std::make_unique<Listener>());
        clients.push_back(std::make_unique<websocket_proxy::WebsocketProxyClient>(
            listeners.back().get(), "several " + std::to_string(place), arguments[1], arguments[2]));
    }
    for (int place = 0; place < MANY * 2; ++place) {  // two threads for each client
        threads.emplace_back([&, place] { opened[place] = clients[place / 2]->openWebSocket(arguments[3]); });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    int news = 0;
    for (const auto& [id, is_new] : opened) {
        news += is_new;
        if (id == 0 || id != opened[0].first) {
            std::cout << "not opened" << std::endl;
        }
    }
    std::cout << "new for " << news << std::endl;
    clients[0]->send(opened[0].first, "echo go", 7);
    int heard = 0;
    for (auto& listener : listeners) {
        heard += listener->hears();
    }
    std::cout << "heard by " << heard << std::endl;
    int closed = 0;
    for (auto& client : clients) {
        closed += client->closeWebSocket(0);
    }
    std::cout << "closed by " << closed << std::endl;
}
