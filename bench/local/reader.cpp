// Read a venue's trades through a shared connection and note when each came: `local_reader BROKER FEEDMUX PORT TOPICS
// WARMUP SECONDS`. It says what `python -m bench.local` says, and looks into what came only afterwards, too.
#include <feedmux/local_client.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr std::chrono::milliseconds GRACE{500};
constexpr std::size_t DIGITS = 17;
const std::string INTENDED = "\"i\":\"", NUMBER = "\"seq\":";

std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

struct Notes : websocket_proxy::WebsocketProxyCallback {
    std::vector<std::pair<std::int64_t, std::string>> seen;
    std::mutex gate;
    std::condition_variable news;
    bool is_trading = false;

    void onWebsocketProxyServerDisconnected() override { fail("the broker is gone"); }
    void onWebsocketOpened(std::uint64_t) override {}
    void onWebsocketClosed(std::uint64_t) override { fail("the connection is closed"); }
    void onWebsocketError(std::uint64_t, const char* text, std::uint32_t size) override {
        fail(std::string(text, size).c_str());
    }
    void onWebsocketData(std::uint64_t, const char* data, std::uint32_t size, std::uint32_t) override {
        const auto at = now_ns();
        const std::lock_guard<std::mutex> lock(gate);
        seen.emplace_back(at, std::string(data, size));
        if (!is_trading && seen.back().second.find(INTENDED) != std::string::npos) {
            is_trading = true;
            news.notify_one();
        }
    }

    [[noreturn]] static void fail(const char* reason) {
        std::fprintf(stderr, "local_reader: %s\n", reason);
        std::_Exit(1);
    }
};

void say(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

std::size_t after(const std::string& text, const std::string& what) {
    const auto place = text.find(what);
    return place == std::string::npos ? place : place + what.size();
}

std::string result(const std::vector<std::pair<std::int64_t, std::string>>& seen, std::int64_t start,
                   std::int64_t stop) {
    std::vector<std::int64_t> late;
    std::set<std::int64_t> numbers;
    for (const auto& [at, payload] : seen) {
        const auto intended = after(payload, INTENDED), number = after(payload, NUMBER);
        if (intended == std::string::npos || number == std::string::npos) {
            continue;
        }
        const auto due = std::strtoll(payload.substr(intended, DIGITS).c_str(), nullptr, 10);
        if (start <= due && due < stop) {
            late.push_back(at - due);
            numbers.insert(std::strtoll(payload.c_str() + number, nullptr, 10));
        }
    }
    const auto whole = numbers.empty() ? 0 : *numbers.rbegin() - *numbers.begin() + 1;
    std::sort(late.begin(), late.end());
    std::ostringstream line;
    line << R"({"event":"result","messages":)" << late.size() << R"(,"distinct":)" << numbers.size();
    line << R"(,"missing":)" << whole - static_cast<std::int64_t>(numbers.size());
    const std::pair<const char*, double> marks[] = {{"p10", 0.1}, {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1.0}};
    for (const auto& [name, mark] : marks) {
        const auto place = static_cast<std::size_t>(static_cast<double>(late.size()) * mark);
        if (!late.empty()) {
            line << ",\"" << name << "_ns\":" << late[std::min(late.size() - 1, place)];
        }
    }
    line << "}";
    return line.str();
}

std::string opening(const std::string& topics) {
    std::istringstream names(topics);
    std::string name, args;
    while (std::getline(names, name, ',')) {
        args += (args.empty() ? "\"publicTrade." : ",\"publicTrade.") + name + "\"";
    }
    return R"({"req_id":"1","op":"subscribe","args":[)" + args + "]}";
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 7) {
        Notes::fail("give a broker, the program feedmux, a port, topics, a warm-up and seconds");
    }
    const auto seconds = [&](int at) { return std::chrono::duration<double>(std::atof(arguments[at])); };
    Notes notes;
    websocket_proxy::WebsocketProxyClient client(&notes, "reader", arguments[2], arguments[1]);
    feedmux::local::OpenOptions options;
    options.opening = {{opening(arguments[4]), false}};
    const auto url = std::string("ws://127.0.0.1:") + arguments[3] + "/v5/public/linear";
    if (client.openWebSocket(url, "", options).first == 0) {
        Notes::fail("it is not opened");
    }
    say(R"({"event":"ready","broker":)" + std::to_string(client.serverId()) + "}");
    {
        std::unique_lock<std::mutex> lock(notes.gate);
        notes.news.wait(lock, [&] { return notes.is_trading; });
    }
    say(R"({"event":"first"})");
    std::this_thread::sleep_for(seconds(5));
    const auto start = now_ns();
    say(R"({"event":"measuring"})");
    std::this_thread::sleep_for(seconds(6));
    const auto stop = now_ns();
    say(R"({"event":"measured"})");
    std::this_thread::sleep_for(GRACE);
    const std::lock_guard<std::mutex> lock(notes.gate);
    say(result(notes.seen, start, stop));
    std::fflush(stdout);
    std::_Exit(0);
}
