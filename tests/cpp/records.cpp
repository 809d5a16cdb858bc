// Writes one record of each type that a client says, and the judgement about texts that come as hexadecimal lines.
#include <feedmux/local/records.hpp>

#include <cstdio>
#include <iostream>
#include <string>

namespace local = feedmux::local;

namespace {

void show(const std::string& record) {
    for (const char byte : record) {
        std::printf("%02x", static_cast<unsigned char>(byte));
    }
    std::printf("\n");
}

std::string unhex(const std::string& line) {
    std::string bytes;
    for (std::size_t at = 0; at + 1 < line.size(); at += 2) {
        bytes += static_cast<char>(std::stoi(line.substr(at, 2), nullptr, 16));
    }
    return bytes;
}

template <typename Make>
void refused(Make make) {
    try {
        make();
        std::printf("taken\n");
    } catch (const local::Trouble& trouble) {
        std::printf("%s\n", trouble.what());
    }
}

}  // namespace

int main() {
    local::Terms terms{"wss://example.com/v2", "key", {}};
    terms.options.headers = {{"A", "b"}, {"C", "d"}};
    terms.options.subprotocols = {"json", "v1"};
    terms.options.opening = {{"{}", false}, {"\x01\xff", true}};
    terms.options.last_by = "S";
    const local::Wish wish{"AAPL", 3, "sub", "unsub"};
    std::string all = local::hello(4242, "n\xc3\xa4me") + local::beat() + local::open(1, terms) + local::close(2, 7);
    all += local::send(7, true, std::string("a\0b", 3)) + local::subscribe(3, 7, wish) + local::unsubscribe(4, 7, wish);
    show(all + local::log_level(5));
    refused([] { local::hello(1, std::string(4097, 'x')); });
    refused([] { local::hello(1, "\xff"); });
    refused([] { local::send(1, false, std::string((16U << 20U) + 1, 'x')); });
    refused([&] {
        terms.options.headers.resize(65);
        local::open(1, terms);
    });
    refused([&] {
        terms.options.headers.clear();
        terms.options.opening.assign(3, {std::string(8U << 20U, 'x'), false});
        local::open(1, terms);
    });
    for (std::string line; std::getline(std::cin, line);) {
        std::printf("%d\n", local::is_utf8(unhex(line)) ? 1 : 0);
    }
}
