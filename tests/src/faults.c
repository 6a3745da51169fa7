/* Calls of a process that fail when a test says so. Preloaded after whatever is to be tried: that then calls these.
 *
 * The file that FAULTS names is shared with the test: a rule for each call, in the order of `enum call`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { ACCEPT, RECV, SEND, WRITEV, FCNTL, SETSOCKOPT, THREAD, EPOLL, EPOLL_CTL, EVENTFD, CALLS };

struct rule {
    uint32_t every;       /* of so many calls one fails; 0: none */
    uint32_t error;       /* errno; 0: the call is let through, but short */
    uint32_t skip;        /* so many calls first */
    uint32_t left;        /* so many may still fail */
    uint32_t port;        /* of the peer; 0: any */
    uint32_t module;      /* 1: only calls that come from the module */
    _Atomic uint32_t met; /* calls that the rule was for */
    _Atomic uint32_t done;
};

static struct rule *rules;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, CALLS * sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        rules = map;
    close(fd);
}

static int from_module(void *caller)
{
    Dl_info object;
    return dladdr(caller, &object) && object.dli_fname && strstr(object.dli_fname, "icecast_ext");
}

static int to_port(int fd, uint32_t port)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
}

/* Whether this call fails; `errno` is set, or 0 if it is to be short. */
static int fails(enum call call, int fd, void *caller)
{
    struct rule *rule = rules ? &rules[call] : NULL;
    if (!rule || rule->every == 0)
        return 0;
    int before = errno;
    int mine = (!rule->module || from_module(caller)) && (!rule->port || to_port(fd, rule->port));
    errno = before;
    if (!mine)
        return 0;
    uint32_t met = atomic_fetch_add(&rule->met, 1);
    if (met < rule->skip || (met - rule->skip) % rule->every != 0)
        return 0;
    if (atomic_fetch_add(&rule->done, 1) >= rule->left) {
        atomic_fetch_sub(&rule->done, 1);
        return 0;
    }
    errno = (int)rule->error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILS(call, fd) fails(call, fd, __builtin_return_address(0))
#define SHORT(len) ((len) > 7 ? 7 : (len))

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    return FAILS(ACCEPT, fd) ? -1 : REAL(accept)(fd, address, len);
}

ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    if (FAILS(RECV, fd)) {
        if (errno)
            return -1;
        len = SHORT(len);
    }
    return REAL(recv)(fd, buffer, len, flags);
}

ssize_t send(int fd, const void *buffer, size_t len, int flags)
{
    if (FAILS(SEND, fd)) {
        if (errno)
            return -1;
        len = SHORT(len);
    }
    return REAL(send)(fd, buffer, len, flags);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return FAILS(WRITEV, fd) ? -1 : REAL(writev)(fd, pieces, count);
}

static int fcntl_of(int (*real)(int, int, ...), void *caller, int fd, int command, long argument)
{
    return fails(FCNTL, fd, caller) ? -1 : real(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    long argument = va_arg(more, long);
    va_end(more);
    return fcntl_of(REAL(fcntl), __builtin_return_address(0), fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    long argument = va_arg(more, long);
    va_end(more);
    return fcntl_of(REAL(fcntl64), __builtin_return_address(0), fd, command, argument);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return FAILS(SETSOCKOPT, fd) ? -1 : REAL(setsockopt)(fd, level, name, value, len);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict how, void *(*start)(void *), void *restrict of)
{
    return FAILS(THREAD, -1) ? errno : REAL(pthread_create)(thread, how, start, of);
}

int epoll_create1(int flags)
{
    return FAILS(EPOLL, -1) ? -1 : REAL(epoll_create1)(flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    return FAILS(EPOLL_CTL, fd) ? -1 : REAL(epoll_ctl)(epoll, what, fd, event);
}

int eventfd(unsigned int start, int flags)
{
    return FAILS(EVENTFD, -1) ? -1 : REAL(eventfd)(start, flags);
}
