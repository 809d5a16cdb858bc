// What the system lends: descriptors, memory, a socket to the broker, a process that becomes one.
//
// The only part that knows the system; Linux 5.1 or newer has all of it. Nothing here keeps a thread or
// knows what is said over the socket. What cannot be done is a Trouble whose words help a person.
//
// Source: unix(7), fcntl(2), eventfd(2), close_range(2), Linux man-pages 6.03.
#ifndef FEEDMUX_LOCAL_SYSTEM_HPP
#define FEEDMUX_LOCAL_SYSTEM_HPP

#ifndef __linux__
#error "feedmux/local_client.hpp needs Linux: abstract sockets, memfd, eventfd"
#endif

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034  // <linux/fcntl.h>; older C libraries do not have them
#endif
#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 0x0002
#endif

namespace feedmux::local {

/// Something failed; what() is a sentence for the user.
struct Trouble : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The broker did not keep to the protocol.
struct Violation : Trouble {
    explicit Violation(const std::string& what) : Trouble("the broker broke the protocol: " + what) {}
};

/// What the system says of an error number.
inline std::string reason_of(int number) { return std::generic_category().message(number); }

/// Owns a descriptor.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) noexcept : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            close();
            number_ = std::exchange(other.number_, -1);
        }
        return *this;
    }
    ~Descriptor() { close(); }

    [[nodiscard]] int number() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }

    void close() noexcept {
        if (number_ >= 0) {
            ::close(std::exchange(number_, -1));
        }
    }

private:
    int number_ = -1;
};

/// Memory of another process, mapped. It is refused if it could shrink: memory that is cut off under a
/// mapping ends a process.
class Mapping {
public:
    Mapping() = default;
    Mapping(const Descriptor& memory, bool may_write) {
        const int seals = ::fcntl(memory.number(), F_GET_SEALS);
        struct stat status {};
        if (seals < 0 || ::fstat(memory.number(), &status) != 0) {
            throw Trouble("what the broker lent is no memory: " + reason_of(errno));
        }
        if ((seals & F_SEAL_SHRINK) == 0) {
            throw Trouble("the memory that the broker lent may shrink; it has to be sealed against that");
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        void* start = size == 0 ? MAP_FAILED
                                : ::mmap(nullptr, size, may_write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                                         memory.number(), 0);
        if (start == MAP_FAILED) {
            throw Trouble("memory that the broker lent cannot be mapped: " + reason_of(size == 0 ? EINVAL : errno));
        }
        start_ = static_cast<unsigned char*>(start);
        size_ = size;
    }
    Mapping(Mapping&& other) noexcept
        : start_(std::exchange(other.start_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(start_, other.start_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping() {
        if (start_ != nullptr) {
            ::munmap(start_, size_);
        }
    }

    [[nodiscard]] unsigned char* start() const noexcept { return start_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    unsigned char* start_ = nullptr;
    std::size_t size_ = 0;
};

/// An eventfd: any thread rings it, one waits for it.
class Bell {
public:
    Bell() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!descriptor_) {
            throw Trouble("the system has no eventfd to wake a thread with: " + reason_of(errno));
        }
    }
    explicit Bell(Descriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}

    [[nodiscard]] int number() const noexcept { return descriptor_.number(); }

    void ring() const noexcept {
        const std::uint64_t one = 1;
        // It fails only while it rings already.
        [[maybe_unused]] const auto written = ::write(number(), &one, sizeof one);
    }

    void silence() const noexcept {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto read = ::read(number(), &count, sizeof count);
    }

private:
    Descriptor descriptor_;
};

/// The address of an abstract socket; `size` becomes what of it counts. Throws Trouble if the name is too long.
inline sockaddr_un abstract_address(const char* what, const std::string& name, socklen_t& size) {
    const std::string text = "feedmux-" + std::string(what) + "-" + std::to_string(::getuid()) + "-" + name;
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    if (text.size() + 1 > sizeof there.sun_path) {
        throw Trouble("the broker's name is too long: " + name);
    }
    std::memcpy(there.sun_path + 1, text.data(), text.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    return there;
}

inline Descriptor unix_socket() {
    Descriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!made) {
        throw Trouble("the system gives no socket: " + reason_of(errno));
    }
    return made;
}

/// Of many programs that find no broker at once, the one that can bind this address starts one; the others leave
/// it some time.
///
/// Returns: what holds the address until it is closed; none if another program has it.
inline Descriptor claim_start(const std::string& name) {
    socklen_t size = 0;
    const sockaddr_un there = abstract_address("start", name, size);
    Descriptor claim = unix_socket();
    const bool is_ours = ::bind(claim.number(), reinterpret_cast<const sockaddr*>(&there), size) == 0;
    return is_ours ? std::move(claim) : Descriptor();
}

/// Connect to the broker of this user and name.
///
/// Returns: its socket, which does not block; none if nobody is there, or nobody has time for us yet.
/// Throws: Trouble, among others if a process of another user has the name.
inline Descriptor connect_to_broker(const std::string& name) {
    socklen_t size = 0;
    const sockaddr_un there = abstract_address("share", name, size);
    Descriptor found = unix_socket();
    if (::connect(found.number(), reinterpret_cast<const sockaddr*>(&there), size) != 0) {
        if (errno == ECONNREFUSED || errno == EAGAIN || errno == EINTR) {
            return Descriptor();
        }
        throw Trouble("the broker cannot be reached: " + reason_of(errno));
    }
    ucred who{};
    socklen_t length = sizeof who;
    if (::getsockopt(found.number(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0 || who.uid != ::getuid()) {
        throw Trouble("a process of another user has the name of the broker; nothing is said to it");
    }
    return found;
}

/// Find a program as a shell would.
///
/// Returns: its absolute path; empty if there is no file of this name that may be run.
inline std::string find_program(const std::string& path) {
    const auto runs = [](const std::filesystem::path& candidate) {
        std::error_code ignored;
        return std::filesystem::is_regular_file(candidate, ignored) && ::access(candidate.c_str(), X_OK) == 0;
    };
    if (path.find('/') != std::string::npos) {
        return runs(path) ? std::filesystem::absolute(path).string() : std::string();
    }
    const char* folders = std::getenv("PATH");
    std::string_view left = folders != nullptr ? folders : "/usr/local/bin:/usr/bin:/bin";
    while (!path.empty() && !left.empty()) {
        const auto end = std::min(left.find(':'), left.size());
        const auto candidate = std::filesystem::path(left.substr(0, end)) / path;
        if (runs(candidate)) {
            return std::filesystem::absolute(candidate).string();
        }
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return {};
}

/// In the child: nothing of the parent stays but the environment and `report`, which becomes 3.
inline void detach(int report) noexcept {
    for (int number = 1; number < NSIG; ++number) {
        ::signal(number, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(report, 3);  // it cannot be below 3: the parent saw to that
    ::fcntl(3, F_SETFD, FD_CLOEXEC);
    const int nothing = ::open("/dev/null", O_RDWR);
    for (int number = 0; number < 3; ++number) {
        ::dup2(nothing, number);
    }
#ifdef SYS_close_range
    const bool is_closed = ::syscall(SYS_close_range, 4U, ~0U, 0U) == 0;
#else
    const bool is_closed = false;
#endif
    for (int number = 4; !is_closed && number < 65536; ++number) {
        ::close(number);
    }
    [[maybe_unused]] const int moved = ::chdir("/");
}

/// Start `<program> share --name <name>`, detached: in a session of its own, child of nobody here. Whether it
/// becomes the broker is not known yet; if another one is faster it ends by itself.
///
/// Throws: Trouble if it cannot be run.
inline void start_broker(const std::string& program, const std::string& name) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw Trouble("the broker cannot be started: " + reason_of(errno));
    }
    Descriptor outcome(ends[0]);
    Descriptor low(ends[1]);
    Descriptor report(::fcntl(low.number(), F_DUPFD_CLOEXEC, 4));
    low.close();
    // Everything that needs memory is made before the fork: another thread may hold the allocator's lock.
    std::string words[] = {program, "share", "--name", name};
    char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
    const pid_t child = ::fork();
    if (child == 0) {
        ::setsid();
        const pid_t broker = ::fork();
        if (broker == 0) {
            detach(report.number());
            ::execv(arguments[0], arguments);
            const int number = errno;
            [[maybe_unused]] const auto written = ::write(3, &number, sizeof number);
        }
        ::_exit(broker < 0 ? errno : 0);
    }
    report.close();
    if (child < 0) {
        throw Trouble("the broker cannot be started: " + reason_of(errno));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    int number = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    // The end of the pipe comes when the program runs, its error number if it does not.
    while (::read(outcome.number(), &number, sizeof number) < 0 && errno == EINTR) {
    }
    if (number != 0) {
        throw Trouble("the broker cannot be started: " + program + ": " + reason_of(number));
    }
}

}  // namespace feedmux::local

#endif
