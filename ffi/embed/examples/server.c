/* A live server: takes sources, serves listeners, and lets them resume.
 *
 *     cc -O2 -o server server.c $(pkg-config --cflags --libs icecast_ext)
 *     ./server 8000 hackme
 *     ffmpeg -re -i music.flac -f mp3 -content_type audio/mpeg icecast://source:hackme@localhost:8000/live.mp3
 */
#define _GNU_SOURCE
#include <errno.h>
#include <icecast_ext.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 1000, HELD = 500, MOUNTS = 64, HEAD = 8192, TICK = 250, PATIENCE = 15000 };

struct station {
    char path[512];
    struct icecast_ext_mount *mount; /* NULL: free */
    int has_source;
};

struct connection {
    int fd; /* -1: free */
    int full;
    struct station *source; /* what it feeds */
    uint64_t since; /* when it last did something */
    size_t length;
    struct icecast_ext_listener *listener;
    struct icecast_ext_request request;
    uint8_t head[HEAD];
};

static struct connection all[CONNECTIONS];
static struct station stations[MOUNTS];
static const char *password;
static uint32_t window;
static volatile sig_atomic_t stop;

static void stopped(int signal)
{
    stop = signal;
}

static int check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", icecast_ext_result_text(result), icecast_ext_last_error());
        exit(1);
    }
    return result;
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void drop(struct connection *c, int reset)
{
    struct linger at_once = {1, 0};
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (c->source) {
        check(icecast_ext_mount_gone(c->source->mount, now()));
        c->source->has_source = 0;
    }
    check(icecast_ext_listener_free(c->listener));
    close(c->fd);
    c->fd = -1;
}

/* Sends a listener what there is. */
static void pump(struct connection *c)
{
    struct icecast_ext_piece pieces[64];
    size_t count;
    ssize_t n;
    int result;

    while ((result = check(icecast_ext_listener_pieces(c->listener, now(), pieces, 64, &count))) == ICECAST_EXT_OK) {
        n = writev(c->fd, (const struct iovec *)pieces, (int)count);
        c->full = n < 0 && errno == EAGAIN;
        if (n < 0) {
            if (!c->full || now() - c->since > PATIENCE)
                drop(c, 0);
            return;
        }
        check(icecast_ext_listener_sent(c->listener, (size_t)n));
        c->since = now();
    }
    if (result == ICECAST_EXT_END || result == ICECAST_EXT_END_RESET)
        drop(c, result == ICECAST_EXT_END_RESET);
}

/* Bytes of the source's body; what it is told at their end is the protocol's. */
static void body(struct connection *c, const uint8_t *data, size_t length)
{
    int result = icecast_ext_mount_body(c->source->mount, data, length, now());
    if (result == ICECAST_EXT_END && c->request.farewell)
        send(c->fd, c->request.farewell, strlen(c->request.farewell), MSG_NOSIGNAL);
    if (result != ICECAST_EXT_OK)
        drop(c, 0);
}

/* The station of a path; one that is new, for a source. */
static struct station *find(const char *path, int make)
{
    struct icecast_ext_mount_options options = {.size = sizeof options};
    int i;

    for (i = 0; i < MOUNTS && stations[i].mount; i++)
        if (strcmp(stations[i].path, path) == 0)
            return &stations[i];
    if (i == MOUNTS || !make)
        return NULL;
    check(icecast_ext_mount_options_init(&options));
    options.path = path;
    options.tick = TICK;
    options.held = HELD;
    options.window = window ? window : options.window;
    if (icecast_ext_mount_new(&options, &stations[i].mount) < 0)
        return NULL;
    strcpy(stations[i].path, path);
    return &stations[i];
}

/* A head is whole, or none will come of it. */
static void answer(struct connection *c)
{
    const char *why = NULL;
    struct icecast_ext_request *r = &c->request;
    int source = r->kind == ICECAST_EXT_REQUEST_SOURCE;
    int may = source && r->authorized && strcmp(r->password, password) == 0;
    struct station *s = find(r->path, may);
    unsigned status = 0;

    if (source && !may)
        status = 401;
    else if (source && (!s || s->has_source))
        status = 403, why = s ? "there is a source already" : "no room for one more mount of that name";
    else if (source && icecast_ext_mount_source(s->mount, c->head, c->length, now()) < 0)
        status = 400, why = icecast_ext_last_error();
    if (status) {
        check(icecast_ext_refuse(c->head, c->length, status, why, now(), &c->listener));
    } else if (!source) {
        check(icecast_ext_answer(s ? s->mount : NULL, c->head, c->length, now(), &c->listener));
    } else {
        s->has_source = 1;
        c->source = s;
        if (r->greeting)
            send(c->fd, r->greeting, strlen(r->greeting), MSG_NOSIGNAL);
        body(c, c->head + r->length, c->length - r->length);
        return;
    }
    pump(c);
}

static void readable(struct connection *c)
{
    uint8_t data[65536];
    size_t room = c->source || c->listener ? sizeof data : HEAD - c->length;
    ssize_t n = recv(c->fd, data, room, 0);
    int result;

    c->since = now();
    if (n <= 0)
        drop(c, 0);
    else if (c->source)
        body(c, data, (size_t)n);
    if (n <= 0 || c->source || c->listener)
        return; /* listeners have nothing more to say */
    memcpy(c->head + c->length, data, (size_t)n);
    c->length += (size_t)n;
    c->request.size = sizeof c->request;
    result = icecast_ext_request_read(c->head, c->length, &c->request);
    if (result != ICECAST_EXT_INCOMPLETE)
        answer(c);
}

static void accept_one(int door)
{
    int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), buffer = 65536, i;

    /* What lags lags here, where it can be resumed, and not for minutes in the kernel. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    for (i = 0; fd >= 0 && i < CONNECTIONS; i++)
        if (all[i].fd < 0) {
            memset(&all[i], 0, sizeof all[i]);
            all[i].fd = fd;
            all[i].since = now();
            return;
        }
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, i;
    uint64_t tick;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: server PORT PASSWORD [WINDOW]   (ms that are held of each stream)\n");
        return 2;
    }
    password = argv[2];
    window = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    signal(SIGINT, stopped);
    signal(SIGTERM, stopped);
    signal(SIGPIPE, SIG_IGN); /* whoever hangs up is an error of writev */
    check(icecast_ext_init(ICECAST_EXT_ABI));
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&address, sizeof address) < 0 || listen(door, 1024) < 0) {
        perror(argv[1]);
        return 1;
    }
    for (i = 0; i < CONNECTIONS; i++)
        all[i].fd = -1;
    for (tick = now(); !stop;) {
        struct pollfd ready[CONNECTIONS + 1];
        int64_t left = (int64_t)(tick + TICK - now());

        for (i = 0; i < CONNECTIONS; i++)
            ready[i] = (struct pollfd){.fd = all[i].fd, .events = (short)(POLLIN | (all[i].full ? POLLOUT : 0))};
        ready[CONNECTIONS] = (struct pollfd){.fd = door, .events = POLLIN};
        if (left > 0)
            poll(ready, CONNECTIONS + 1, left < TICK ? (int)left : TICK);
        for (i = 0; i < CONNECTIONS && left > 0; i++) {
            if (ready[i].revents & (POLLIN | POLLHUP | POLLERR))
                readable(&all[i]);
            if (all[i].fd >= 0 && (ready[i].revents & POLLOUT))
                pump(&all[i]);
        }
        if (left > 0 && ready[CONNECTIONS].revents)
            accept_one(door);
        if (left > 0)
            continue;
        tick = now();
        for (i = 0; i < MOUNTS && stations[i].mount; i++)
            check(icecast_ext_mount_publish(stations[i].mount, tick));
        for (i = 0; i < CONNECTIONS; i++) {
            if (all[i].fd >= 0 && all[i].listener)
                pump(&all[i]);
            else if (all[i].fd >= 0 && tick - all[i].since > PATIENCE && (all[i].source || !all[i].length))
                drop(&all[i], 0);
            else if (all[i].fd >= 0 && tick - all[i].since > PATIENCE) {
                check(icecast_ext_refuse(all[i].head, all[i].length, 408, "no whole head within 15 s", tick, &all[i].listener));
                pump(&all[i]);
            }
        }
    }
    for (i = 0; i < CONNECTIONS; i++)
        if (all[i].fd >= 0)
            drop(&all[i], 0);
    for (i = 0; i < MOUNTS; i++)
        check(icecast_ext_mount_free(stations[i].mount));
    return 0;
}
