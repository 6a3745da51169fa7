/* The resume extension to the Icecast protocol, for servers and players in any language.
 *
 * A server has a mount for each stream. It gives the source's bytes to the mount, and each request's head to icecast_ext_answer,
 * which makes a listener: that says what to send. A player has a client, which says where to connect and what to ask for, is given
 * what comes, and gives back audio without a hole. Sockets, clock and loop are the host's. examples/ has all of it.
 *
 * Results: 0 and more is good, less is not; icecast_ext_last_error() says why. A number never gets another meaning.
 *
 * Structs begin with their size: set it to sizeof, so that a later library knows what you know. Those that are filled have room
 * for what is added later only once you build against a later header. Set unused fields to 0, or let an _init call do it.
 *
 * Handles are numbers in the shape of pointers: never read through them. One that was freed, or is of another kind, is told from
 * one that is alive. To free NULL does nothing.
 *
 * Threads: calls may come from any thread. A mount is shared: each call waits for the one before. A client or a listener is one
 * thread's at a time: a second one gets ICECAST_EXT_BUSY. icecast_ext_last_error() is each thread's own. Nothing calls back.
 *
 * Memory: a client has one block, taken by icecast_ext_client_new, and icecast_ext_client_memory says how large. Whatever a call
 * points you to is the library's, and stays until the next call with the same handle.
 *
 * License: MIT OR Apache-2.0
 */

#ifndef ICECAST_EXT_H
#define ICECAST_EXT_H

/* Made from ffi/embed/src by its tests (ICECAST_EXT_BLESS=1 cargo test -p icecast-ext-embed --test header). */

#include <stddef.h>
#include <stdint.h>

/*
 The version of this interface. Another one means other structs or other calls; what is added at a struct's end, and new calls
 and numbers, leave it as it is.
 */
#define ICECAST_EXT_ABI 1

/*
 The first relay sends audio: `text` is its URL, `bytes` the content type, `epoch` and `offset` where the audio begins.
 */
#define ICECAST_EXT_EVENT_JOINED 1

/*
 Audio: `bytes`, for the decoder. Each byte of the stream comes once.
 */
#define ICECAST_EXT_EVENT_AUDIO 2

/*
 Codec headers: `bytes`, for the decoder, before the audio that follows.
 */
#define ICECAST_EXT_EVENT_PRELUDE 3

/*
 A title: `bytes`, in whatever encoding the station has; `url` if it has one. In force from `epoch`, `offset` on.
 */
#define ICECAST_EXT_EVENT_TITLE 4

/*
 Audio comes from another relay: `text` is its URL. `why` is one of `ICECAST_EXT_PROOF_…`, `pause` how long that took.
 */
#define ICECAST_EXT_EVENT_MOVED 5

/*
 An epoch ended and another one follows, at `epoch`, `offset`; nothing is lost.
 */
#define ICECAST_EXT_EVENT_SPLICED 6

/*
 What follows continues what came before, as its content proves.
 */
#define ICECAST_EXT_EVENT_STITCHED 7

/*
 Audio is lost here: `lost` bytes, or nobody knows how many. `why` is one of `ICECAST_EXT_WHY_…`, `text` says it.
 */
#define ICECAST_EXT_EVENT_LOST 8

/*
 A connection ended; `text` says how. Nothing is lost by that.
 */
#define ICECAST_EXT_EVENT_CUT 9

/*
 A relay did not give what was asked for; `text` says what it said.
 */
#define ICECAST_EXT_EVENT_REFUSED 10

/*
 The next request has to wait for `pause` ms.
 */
#define ICECAST_EXT_EVENT_WAITING 11

/*
 A server did what the protocol forbids, and it was made good: `text` says what.
 */
#define ICECAST_EXT_EVENT_NOTE 12

/*
 One of a later version.
 */
#define ICECAST_EXT_EVENT_OTHER 13

/*
 Another epoch follows, at `epoch`, `offset`, and a relay has proven by content that nothing is lost.
 */
#define ICECAST_EXT_EVENT_ANCHORED 14

/*
 A move that was called for did not come about: `text` says why. Audio goes on all the same.
 */
#define ICECAST_EXT_EVENT_STAYED 15

/*
 Nothing proves that a relay goes on at the next byte; a loss follows.
 */
#define ICECAST_EXT_PROOF_NONE 0

/*
 Its offset does, or a splice that it declares.
 */
#define ICECAST_EXT_PROOF_OFFSET 1

/*
 It knows the epoch asked for as another name of its own.
 */
#define ICECAST_EXT_PROOF_ALIAS 2

/*
 The evidence that was sent does.
 */
#define ICECAST_EXT_PROOF_ANCHOR 3

/*
 Its bytes do.
 */
#define ICECAST_EXT_PROOF_CONTENT 4

/*
 The position is no longer held.
 */
#define ICECAST_EXT_WHY_GONE 1

/*
 Every relay refused it.
 */
#define ICECAST_EXT_WHY_REFUSED 2

/*
 Another epoch, and nobody says that it continues the one before.
 */
#define ICECAST_EXT_WHY_EPOCH 3

/*
 The server has no offsets, and there is no history to stitch with.
 */
#define ICECAST_EXT_WHY_UNAWARE 4

/*
 The server has no offsets, and content proves nothing.
 */
#define ICECAST_EXT_WHY_UNPROVEN 5

/*
 One of a later version.
 */
#define ICECAST_EXT_WHY_OTHER 6

/*
 `lost`, where nobody knows.
 */
#define ICECAST_EXT_UNKNOWN UINT64_MAX

/*
 If the position is gone everywhere: from the oldest byte that is held.
 */
#define ICECAST_EXT_MISS_OLDEST 0

/*
 From live.
 */
#define ICECAST_EXT_MISS_LIVE 1

/*
 The client ends rather than lose a byte.
 */
#define ICECAST_EXT_MISS_FAIL 2

/*
 Close the connection, if there is one, open the one to `host` and `port`, and send `request`.
 */
#define ICECAST_EXT_STEP_CONNECT 1

/*
 Read; give what came to `icecast_ext_client_received`; poll again after that, and at `until` at the latest.
 */
#define ICECAST_EXT_STEP_READ 2

/*
 Close the connection, if there is one, and poll again at `until`.
 */
#define ICECAST_EXT_STEP_WAIT 3

/*
 It is over; `text` says why. Close the connection, and free the client.
 */
#define ICECAST_EXT_STEP_ENDED 4

/*
 Players that know nothing of the extension do not resume: `Range` is ignored.
 */
#define ICECAST_EXT_LEVEL_OFF 0

/*
 They resume, where they can without a length.
 */
#define ICECAST_EXT_LEVEL_RANGES 1

/*
 All resume; many show a seek bar.
 */
#define ICECAST_EXT_LEVEL_FULL 2

/*
 GET, HEAD or OPTIONS: hand it to `icecast_ext_answer`, with the mount at `path`, or with NULL if there is none.
 */
#define ICECAST_EXT_REQUEST_LISTEN 1

/*
 PUT or SOURCE: check `user` and `password`, send `greeting`, call `icecast_ext_mount_source`, then give the body to
 `icecast_ext_mount_body`.
 */
#define ICECAST_EXT_REQUEST_SOURCE 2

/*
 Another method: `icecast_ext_answer` says 405.
 */
#define ICECAST_EXT_REQUEST_OTHER 3

/*
 Done.
 */
#define ICECAST_EXT_OK 0

/*
 There is nothing of what was asked for: no event, no new bytes.
 */
#define ICECAST_EXT_NONE 1

/*
 More bytes are needed: call again with what came before and what came since.
 */
#define ICECAST_EXT_INCOMPLETE 2

/*
 Nothing to send now: look again after the mount's next tick.
 */
#define ICECAST_EXT_WAIT 3

/*
 The response, or the source's body, is complete: shut the connection down.
 */
#define ICECAST_EXT_END 4

/*
 The response ends here, and the player is to come back: close with an RST (`SO_LINGER` 0) once all is acknowledged
 (R-STOCK-21).
 */
#define ICECAST_EXT_END_RESET 5

/*
 A pointer that must not be is NULL.
 */
#define ICECAST_EXT_NULL_POINTER -1

/*
 A struct is smaller than its first version, or has fields set that this library does not know.
 */
#define ICECAST_EXT_WRONG_SIZE -2

/*
 The handle is of another kind, was freed, or never was.
 */
#define ICECAST_EXT_WRONG_HANDLE -3

/*
 Another thread is in a call with this handle.
 */
#define ICECAST_EXT_BUSY -4

/*
 A bug of this library. The handle is of no more use; free it.
 */
#define ICECAST_EXT_PANIC -5

/*
 The library speaks another version of this interface, or was not asked yet: [`icecast_ext_init`](crate::icecast_ext_init).
 */
#define ICECAST_EXT_WRONG_ABI -6

/*
 An argument has a value that it cannot have: `icecast_ext_last_error` says which.
 */
#define ICECAST_EXT_INVALID -7

/*
 What came over the network is not what it should be: `icecast_ext_last_error` says how.
 */
#define ICECAST_EXT_MALFORMED -8

/*
 No memory, or no room for one more handle.
 */
#define ICECAST_EXT_NO_MEMORY -9

/*
 The operating system gives no random bytes.
 */
#define ICECAST_EXT_NO_RANDOM -10

/*
 The call does not fit what was called before: a body without a source.
 */
#define ICECAST_EXT_OUT_OF_ORDER -11

/*
 One listener of one stream, on whatever relay.
 */
struct icecast_ext_client;

/*
 One connection that was asked something, whatever it is answered.
 */
struct icecast_ext_listener;

/*
 A stream under one path.
 */
struct icecast_ext_mount;

/*
 How a client behaves. Call `icecast_ext_client_options_init` first: it sets what suits a desktop. A radio sets `history` to 0,
 `max_prelude` to what its decoder takes, and `max_relays` and `max_url` to what it wants to afford.
 */
struct icecast_ext_client_options {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   URLs of one stream, the preferred one first: `http://user:password@host:port/mount`.
   */
  const char *const *relays;
  /*
   How many.
   */
  size_t relay_count;
  /*
   `User-Agent`; NULL: this library's.
   */
  const char *agent;
  /*
   Random, so that a thousand clients do not come back in step.
   */
  uint64_t seed;
  /*
   Where to begin: an epoch as `icecast_ext_client_stats` gave it; NULL: live.
   */
  const char *epoch;
  /*
   And the offset there.
   */
  uint64_t offset;
  /*
   One of `ICECAST_EXT_MISS_…`
   */
  uint32_t miss;
  /*
   Not 0: ask for titles.
   */
  uint32_t titles;
  /*
   `max-lag` in ms: so far behind live at a resume, and it goes on live; 0: however far.
   */
  uint32_t max_lag;
  /*
   So many ms without a byte, and the relay is left. 5000
   */
  uint32_t silence;
  /*
   So many ms without audio from anywhere, and the client ends; 0: never. 60000
   */
  uint32_t give_up;
  /*
   Relays known at once, those learned from `Link` included: 1 to 16. 16
   */
  uint32_t max_relays;
  /*
   The longest URL, in bytes: 16 to 2048. 2048
   */
  uint32_t max_url;
  /*
   Bytes remembered to stitch by content at servers that have no offsets; 0: never stitch. 524288
   */
  uint32_t history;
  /*
   The longest prelude that is accepted, in bytes. 1048576
   */
  uint32_t max_prelude;
  /*
   Not 0: relays that share no epoch are told what was heard, and may prove where it goes on. Then `now` must go on while the
   device sleeps: CLOCK_BOOTTIME on Linux. 0
   */
  uint32_t evidence;
};

/*
 What `icecast_ext_client_poll` says.
 */
struct icecast_ext_client_step {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   One of `ICECAST_EXT_STEP_…`
   */
  uint32_t kind;
  /*
   To connect: not 0 for TLS, with this host's name.
   */
  uint32_t tls;
  /*
   To connect: the port.
   */
  uint32_t port;
  /*
   0
   */
  uint32_t reserved;
  /*
   In the host's milliseconds.
   */
  uint64_t until;
  /*
   To connect: a name or an address, IPv6 without brackets.
   */
  const char *host;
  /*
   To connect: the whole request.
   */
  const uint8_t *request;
  /*
   Bytes of it.
   */
  size_t request_length;
  /*
   For people; NULL mostly.
   */
  const char *text;
};

/*
 What `icecast_ext_client_event` says.
 */
struct icecast_ext_client_event {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   One of `ICECAST_EXT_EVENT_…`; 0 with `ICECAST_EXT_NONE`.
   */
  uint32_t kind;
  /*
   Of a loss, or of a move.
   */
  uint32_t why;
  /*
   Not text: no NUL at the end.
   */
  const uint8_t *bytes;
  /*
   How many.
   */
  size_t length;
  /*
   For people; NULL where there is nothing to say. Credentials are left out.
   */
  const char *text;
  /*
   Of a title; NULL if it has none.
   */
  const uint8_t *url;
  /*
   Bytes of it.
   */
  size_t url_length;
  /*
   Bytes lost, or `ICECAST_EXT_UNKNOWN`.
   */
  uint64_t lost;
  /*
   Milliseconds.
   */
  uint64_t pause;
  /*
   Where what follows stands; `epoch` is empty where nobody knows.
   */
  uint64_t offset;
  /*
   22 characters and a NUL.
   */
  char epoch[24];
};

/*
 What has happened so far, and the memory that it took.
 */
struct icecast_ext_client_stats {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   Canonical bytes given out, in bytes.
   */
  uint64_t audio;
  /*
   Accepted connections that ended, epoch ends included.
   */
  uint64_t cuts;
  /*
   Changes of relay.
   */
  uint64_t moves;
  /*
   Declared splices followed: nothing is lost there.
   */
  uint64_t splices;
  /*
   Continuations that content proved, at servers without offsets.
   */
  uint64_t stitches;
  /*
   Titles.
   */
  uint64_t titles;
  /*
   Holes in the audio.
   */
  uint64_t losses;
  /*
   Those among them whose size nobody knows.
   */
  uint64_t unknown_losses;
  /*
   Bytes lost in the others.
   */
  uint64_t lost;
  /*
   Where the byte after the last audio event taken stands; `epoch` is empty where that is unknown.
   */
  uint64_t offset;
  /*
   22 characters and a NUL.
   */
  char epoch[24];
  /*
   The client's memory: bytes taken when it was made.
   */
  size_t memory;
  /*
   And the most that was in use of them.
   */
  size_t memory_peak;
  /*
   Bytes that did not fit and came from the system, all in all: a bug, if it is not 0.
   */
  size_t memory_over;
};

/*
 Bytes to send; laid out as POSIX's `struct iovec`, and so for ever.
 */
struct icecast_ext_piece {
  /*
   Where they are.
   */
  const uint8_t *bytes;
  /*
   How many.
   */
  size_t length;
};

/*
 What `icecast_ext_listener_state` says.
 */
struct icecast_ext_listener_state {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   Of its answer; 0 while it is held.
   */
  uint32_t status;
  /*
   Not 0: it is sent the stream, or the feed.
   */
  uint32_t streams;
  /*
   Canonical bytes sent.
   */
  uint64_t audio;
  /*
   The next byte.
   */
  uint64_t offset;
  /*
   22 characters and a NUL; empty if it is sent no stream.
   */
  char epoch[24];
};

/*
 How a mount holds its stream. Call `icecast_ext_mount_options_init` first, then set what is to be other.
 */
struct icecast_ext_mount_options {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   The mount's path, decoded: `/live.mp3`.
   */
  const char *path;
  /*
   The value of `Server`; NULL: this library's.
   */
  const char *server;
  /*
   Base URLs of other relays that have the stream at the same path, without a slash at the end; NULL: none.
   */
  const char *const *relays;
  /*
   How many.
   */
  size_t relay_count;
  /*
   How long bytes are held, in ms. 120000
   */
  uint32_t window;
  /*
   How often `icecast_ext_mount_publish` will be called, in ms: 10 to 10000. Relays are told. 250
   */
  uint32_t tick;
  /*
   Never more bytes than this are held. 67108864
   */
  uint64_t max_bytes;
  /*
   Bytes before the edge at which a live listener begins. 65536
   */
  uint64_t burst;
  /*
   Bytes between two ICY blocks: 256 to 16000000. 16000
   */
  uint32_t metaint;
  /*
   One of `ICECAST_EXT_LEVEL_…`. Ranges
   */
  uint32_t level;
  /*
   Listeners that wait at once for the next byte, for 10 s at most; others are answered 503. 1000
   */
  uint32_t held;
  /*
   0
   */
  uint32_t reserved;
};

/*
 What `icecast_ext_mount_state` says.
 */
struct icecast_ext_mount_state {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   Not 0 while a source or a parent feeds it.
   */
  uint32_t live;
  /*
   0
   */
  uint32_t reserved;
  /*
   The oldest byte held of the current epoch.
   */
  uint64_t first;
  /*
   The byte that is published next.
   */
  uint64_t next;
  /*
   Bytes held, of all epochs.
   */
  uint64_t held;
  /*
   Bytes a second; 0 while that is not known.
   */
  uint64_t rate;
  /*
   Of the byte that a parent is asked for next, published or not: what `Resume-Offset` wants. Equal to `next` or more.
   */
  uint64_t received;
  /*
   22 characters and a NUL; empty before the first source.
   */
  char epoch[24];
};

/*
 A request's head, as far as a host needs it.
 */
struct icecast_ext_request {
  /*
   `sizeof` this struct, set by the caller.
   */
  size_t size;
  /*
   One of `ICECAST_EXT_REQUEST_…`
   */
  uint32_t kind;
  /*
   Not 0: `Authorization: Basic` is there, and could be decoded.
   */
  uint32_t authorized;
  /*
   Bytes of the head; the body begins after them.
   */
  size_t length;
  /*
   To be sent to a source that is taken, before its body; NULL: nothing. Never freed.
   */
  const char *greeting;
  /*
   To be sent to a source whose body is complete; NULL: nothing. Never freed.
   */
  const char *farewell;
  /*
   Decoded, with a NUL.
   */
  char path[512];
  /*
   Of `Authorization: Basic`, with a NUL.
   */
  char user[128];
  /*
   As well.
   */
  char password[128];
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 To be called first, as `icecast_ext_init(ICECAST_EXT_ABI)`: the number is the header's. `ICECAST_EXT_WRONG_ABI` if the library
 speaks another version; then nothing can be made. May be called again.
 */
int icecast_ext_init(uint32_t abi);

/*
 The library's `ICECAST_EXT_ABI`.
 */
uint32_t icecast_ext_abi(void);

/*
 The library's version, for people. Never NULL.
 */
const char *icecast_ext_version(void);

/*
 Bytes that `icecast_ext_client_new` takes in one piece, and all that the client ever has.

 Pointers:
 `options` points to options; `memory` may be written to.
 */
int icecast_ext_client_memory(const struct icecast_ext_client_options *options, size_t *memory);

/*
 Makes a client; nothing is sent yet. Strings are copied. Needs `icecast_ext_init`.

 Pointers:
 `options` points to options, whose strings end with a NUL; `client` may be written to.
 */
int icecast_ext_client_new(const struct icecast_ext_client_options *options,
                           struct icecast_ext_client **client);

/*
 What to do now. `now`: milliseconds by a clock of the host's that never goes back, since whenever.

 Pointers:
 `step` points to a struct whose `size` is set. What it points to stays until the next call with this client.
 */
int icecast_ext_client_poll(struct icecast_ext_client *client,
                            uint64_t now,
                            struct icecast_ext_client_step *step);

/*
 Bytes of the connection, TLS removed. `taken`: how many of them were taken; take the events out, then give the rest.

 Pointers:
 `data` points to `length` bytes; `taken` may be written to.
 */
int icecast_ext_client_received(struct icecast_ext_client *client,
                                uint64_t now,
                                const uint8_t *data,
                                size_t length,
                                size_t *taken);

/*
 The server has closed the connection as it should: `recv` gave 0.

 Pointers:
 None beyond those of any call.
 */
int icecast_ext_client_closed(struct icecast_ext_client *client, uint64_t now);

/*
 There is no connection, or it broke. `why`: for the events' text; NULL if nobody knows.

 Pointers:
 `why` is NULL or ends with a NUL.
 */
int icecast_ext_client_failed(struct icecast_ext_client *client, uint64_t now, const char *why);

/*
 Moves to the relay of this URL, or to the best of the others if it is NULL: the next step connects there, and an event of kind
 `ICECAST_EXT_EVENT_MOVED` or `ICECAST_EXT_EVENT_STAYED` tells how it ended. `ICECAST_EXT_INVALID` if there is no such relay.

 Pointers:
 `url` is NULL or ends with a NUL.
 */
int icecast_ext_client_move(struct icecast_ext_client *client,
                            uint64_t now,
                            const char *url);

/*
 What happened next, or `ICECAST_EXT_NONE`. To be called until then after each other call.

 Pointers:
 `event` points to a struct whose `size` is set. What it points to stays until the next call with this client.
 */
int icecast_ext_client_event(struct icecast_ext_client *client,
                             struct icecast_ext_client_event *event);

/*
 What has happened so far.

 Pointers:
 `stats` points to a struct whose `size` is set.
 */
int icecast_ext_client_stats(struct icecast_ext_client *client,
                             struct icecast_ext_client_stats *stats);

/*
 Frees a client. NULL is nothing.

 Pointers:
 None beyond those of any call.
 */
int icecast_ext_client_free(struct icecast_ext_client *client);

/*
 Sets all options but `size` to their defaults.

 Pointers:
 `options` points to a struct whose `size` is set.
 */
int icecast_ext_client_options_init(struct icecast_ext_client_options *options);

/*
 Answers a request: the stream, from where it is to begin, or a short answer that says why not. What to send, and when to
 close, `icecast_ext_listener_pieces` says. Whoever may not listen is not to be answered by this, but by `icecast_ext_refuse`.
 `mount`: NULL if there is none at that path. `now`: milliseconds since 1970, as all calls with this mount have it.

 Pointers:
 `head` points to `length` bytes; `listener` may be written to.
 */
int icecast_ext_answer(struct icecast_ext_mount *mount,
                       const uint8_t *head,
                       size_t length,
                       uint64_t now,
                       struct icecast_ext_listener **listener);

/*
 A short answer of the host's: `status` from 400 to 599, and a line of text that says what to do. 401 asks for a login.

 Pointers:
 `head` points to `length` bytes, the request's; `why` ends with a NUL; `listener` may be written to.
 */
int icecast_ext_refuse(const uint8_t *head,
                       size_t length,
                       uint32_t status,
                       const char *why,
                       uint64_t now,
                       struct icecast_ext_listener **listener);

/*
 What to send next: at most `room` pieces into `pieces`, and into `count` how many they are. `ICECAST_EXT_OK`: send them, say how
 much was sent, and call again, or when the socket takes more. `ICECAST_EXT_WAIT`: nothing until the mount's next tick.
 `ICECAST_EXT_END`, `ICECAST_EXT_END_RESET`: it was all; close.

 Pointers:
 `pieces` has room for `room` pieces, at least one; `count` may be written to. The bytes stay until the next call with this
 listener.
 */
int icecast_ext_listener_pieces(struct icecast_ext_listener *listener,
                                uint64_t now,
                                struct icecast_ext_piece *pieces,
                                size_t room,
                                size_t *count);

/*
 The socket took so many bytes of what `icecast_ext_listener_pieces` gave last.
 */
int icecast_ext_listener_sent(struct icecast_ext_listener *listener, size_t sent);

/*
 Where it is.

 Pointers:
 `state` points to a struct whose `size` is set.
 */
int icecast_ext_listener_state(struct icecast_ext_listener *listener,
                               struct icecast_ext_listener_state *state);

/*
 Frees a listener, whose connection is closed or will be. NULL is nothing.
 */
int icecast_ext_listener_free(struct icecast_ext_listener *listener);

/*
 Makes a mount that holds nothing yet. Strings are copied. Needs `icecast_ext_init`.

 Pointers:
 `options` points to options, whose strings end with a NUL; `mount` may be written to.
 */
int icecast_ext_mount_new(const struct icecast_ext_mount_options *options,
                          struct icecast_ext_mount **mount);

/*
 A source begins: `head` is its whole request head (PUT or SOURCE), whose fields become the listeners'. A new epoch begins,
 and follows the one before, if there is one. `now`: milliseconds since 1970.

 Pointers:
 `head` points to `length` bytes.
 */
int icecast_ext_mount_source(struct icecast_ext_mount *mount,
                             const uint8_t *head,
                             size_t length,
                             uint64_t now);

/*
 Bytes of the source's body, as they came: chunks and the end are found. `ICECAST_EXT_END`: it is complete, and the source is
 gone. `now`: milliseconds since 1970, by a clock that does not jump.

 Pointers:
 `data` points to `length` bytes.
 */
int icecast_ext_mount_body(struct icecast_ext_mount *mount,
                           const uint8_t *data,
                           size_t length,
                           uint64_t now);

/*
 A title, from the next byte on: the text alone, as the encoder named it, in any encoding.

 Pointers:
 `title` points to `length` bytes.
 */
int icecast_ext_mount_title(struct icecast_ext_mount *mount, const uint8_t *title, size_t length);

/*
 A connection to a parent relay begins, whose body is the relay feed. `spliced`: what its `Stream-Offset` says of that, 0 or 1.
 Ask with `Accept: application/vnd.icecast-ext.relay`, and, after the first time, with `Resume-Offset` as
 `icecast_ext_mount_state` has it.
 */
int icecast_ext_mount_feed(struct icecast_ext_mount *mount,
                           int spliced);

/*
 Bytes of the feed, transfer coding removed. What came before a malformed frame counts.

 Pointers:
 `data` points to `length` bytes.
 */
int icecast_ext_mount_fed(struct icecast_ext_mount *mount, const uint8_t *data, size_t length);

/*
 The source, or the feed, is gone. Listeners get what is held; if none comes back within 5 s, their responses end.
 */
int icecast_ext_mount_gone(struct icecast_ext_mount *mount,
                           uint64_t now);

/*
 Publishes what has come, and lets go of what is older than the window. To be called once a tick; then look at all listeners.
 `ICECAST_EXT_NONE`: nothing came; relays are told so all the same.
 */
int icecast_ext_mount_publish(struct icecast_ext_mount *mount,
                              uint64_t now);

/*
 What the mount holds.

 Pointers:
 `state` points to a struct whose `size` is set.
 */
int icecast_ext_mount_state(struct icecast_ext_mount *mount, struct icecast_ext_mount_state *state);

/*
 Frees a mount. Its listeners go on with what it holds until they are freed. NULL is nothing.
 */
int icecast_ext_mount_free(struct icecast_ext_mount *mount);

/*
 Sets all options but `size` to their defaults.

 Pointers:
 `options` points to a struct whose `size` is set.
 */
int icecast_ext_mount_options_init(struct icecast_ext_mount_options *options);

/*
 Reads a request's head from the first bytes of a connection. `ICECAST_EXT_INCOMPLETE`: read on, and call again with all of it;
 no head is longer than 8192 bytes. `ICECAST_EXT_MALFORMED`: answer 400, which is what `icecast_ext_answer` does with it.

 Pointers:
 `head` points to `length` bytes; `request` to a struct whose `size` is set.
 */
int icecast_ext_request_read(const uint8_t *head,
                             size_t length,
                             struct icecast_ext_request *request);

/*
 What this thread's last failed call had to say, for people; empty if none failed. Valid until this thread's next call.
 */
const char *icecast_ext_last_error(void);

/*
 A result in words, for people. Never NULL.
 */
const char *icecast_ext_result_text(int result);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ICECAST_EXT_H */
