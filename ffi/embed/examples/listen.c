/* A listener that no cut of the network makes lose a byte. The stream goes to standard output, what happens to standard error.
 *
 *     cc -O2 -o listen listen.c $(pkg-config --cflags --libs icecast_ext)
 *     ./listen http://localhost:8000/live.mp3 http://relay:8000/live.mp3 | mpv -
 *
 * SIGUSR1 moves it to another of its relays.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <icecast_ext.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop, leave;

static void stopped(int signal)
{
    stop = signal;
}

static void left(int signal)
{
    leave = signal;
}

static void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", icecast_ext_result_text(result), icecast_ext_last_error());
        exit(1);
    }
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A connection over which the request has gone, or -1. This example speaks no TLS. */
static int dial(const struct icecast_ext_client_step *step)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *a;
    struct timeval patience = {3, 0};
    char port[16];
    int fd = -1;

    snprintf(port, sizeof port, "%u", (unsigned)step->port);
    if (step->tls || getaddrinfo(step->host, port, &hints, &found) != 0)
        return -1;
    for (a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0 ||
            send(fd, step->request, step->request_length, MSG_NOSIGNAL) != (ssize_t)step->request_length) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* What has happened since the last call. False if nobody takes our bytes any more. */
static int events(struct icecast_ext_client *client)
{
    struct icecast_ext_client_event e = {.size = sizeof e};

    while (icecast_ext_client_event(client, &e) == ICECAST_EXT_OK) {
        switch (e.kind) {
        case ICECAST_EXT_EVENT_AUDIO:
        case ICECAST_EXT_EVENT_PRELUDE:
            if (fwrite(e.bytes, 1, e.length, stdout) != e.length)
                return 0;
            break;
        case ICECAST_EXT_EVENT_TITLE:
            fprintf(stderr, "title: %.*s\n", (int)e.length, (const char *)e.bytes);
            break;
        case ICECAST_EXT_EVENT_MOVED:
            fprintf(stderr, "moved to %s\n", e.text);
            break;
        case ICECAST_EXT_EVENT_LOST:
            if (e.lost == ICECAST_EXT_UNKNOWN)
                fprintf(stderr, "lost, nobody knows how much: %s\n", e.text);
            else
                fprintf(stderr, "lost %llu bytes: %s\n", (unsigned long long)e.lost, e.text);
            break;
        default:
            if (e.text)
                fprintf(stderr, "%s\n", e.text);
        }
    }
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct icecast_ext_client_options options = {.size = sizeof options};
    struct icecast_ext_client_step step = {.size = sizeof step};
    struct icecast_ext_client_stats stats = {.size = sizeof stats};
    struct icecast_ext_client *client = NULL;
    int fd = -1, listening = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: listen URL...   (relays of one stream, the preferred one first)\n");
        return 2;
    }
    signal(SIGINT, stopped);
    signal(SIGTERM, stopped);
    signal(SIGUSR1, left);
    signal(SIGPIPE, SIG_IGN);
    check(icecast_ext_init(ICECAST_EXT_ABI));
    check(icecast_ext_client_options_init(&options));
    options.relays = (const char *const *)(argv + 1);
    options.relay_count = (size_t)(argc - 1);
    options.titles = 1;
    options.evidence = 1; /* our clock goes on while the machine sleeps */
    options.seed = (uint64_t)getpid() ^ (uint64_t)time(NULL) << 20;
    check(icecast_ext_client_new(&options, &client));
    while (listening) {
        uint8_t data[16384];
        size_t taken, done;
        ssize_t n;
        struct pollfd ready;

        if (leave && icecast_ext_client_move(client, now(), NULL) < 0)
            fprintf(stderr, "stays: %s\n", icecast_ext_last_error());
        leave = 0;
        check(icecast_ext_client_poll(client, now(), &step));
        listening = events(client) && step.kind != ICECAST_EXT_STEP_ENDED && !stop;
        if (step.kind != ICECAST_EXT_STEP_READ && fd >= 0) {
            close(fd);
            fd = -1;
        }
        if (!listening)
            break;
        if (step.kind == ICECAST_EXT_STEP_CONNECT) {
            if ((fd = dial(&step)) < 0)
                check(icecast_ext_client_failed(client, now(), step.tls ? "no TLS here" : "no connection"));
            continue;
        }
        ready = (struct pollfd){.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, step.until > now() ? (int)(step.until - now()) : 0) <= 0)
            continue;
        n = recv(fd, data, sizeof data, 0);
        if (n < 0)
            check(icecast_ext_client_failed(client, now(), strerror(errno)));
        if (n == 0)
            check(icecast_ext_client_closed(client, now()));
        for (done = 0; n > 0 && done < (size_t)n && listening; done += taken) {
            check(icecast_ext_client_received(client, now(), data + done, (size_t)n - done, &taken));
            listening = events(client);
        }
    }
    check(icecast_ext_client_stats(client, &stats));
    fprintf(stderr, "%llu bytes, %llu cuts, %llu moves, %llu lost; %zu of %zu bytes of memory%s\n",
            (unsigned long long)stats.audio, (unsigned long long)stats.cuts, (unsigned long long)stats.moves,
            (unsigned long long)stats.lost, stats.memory_peak, stats.memory, stats.memory_over ? " were not enough" : "");
    if (step.kind == ICECAST_EXT_STEP_ENDED)
        fprintf(stderr, "%s\n", step.text);
    icecast_ext_client_free(client);
    return step.kind == ICECAST_EXT_STEP_ENDED;
}
