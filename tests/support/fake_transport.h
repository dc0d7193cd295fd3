// A transport with no socket behind it, for unit tests of what uses net/transport.h: codecs' owners, TLS, pools of connections.
//
// The test holds the far end, a `struct fake_peer`: it sends bytes, ends or breaks the connection, and sees what was flushed. Or two transports are joined
// to a pair, and what one flushes arrives at the other.
//
// All callbacks come from a task on the wake list, so in the turn after the one in which their cause was (loop_turn or check_loop.h): never from within a
// call of the test or of the transport. `closed` comes from the closing list. Sizes of pieces, short writes and delays are drawn from the seed: the same
// seed gives the same run.
//
// As hostile as a socket may be:
// - pieces of one read still come after read_stop was called inside `bytes`, and several pieces may lie behind each other in one block;
// - under AddressSanitizer the block behind the bytes read is poisoned;
// - an orderly end is told only while reading and after all bytes; a reset also while not reading, and the bytes before it are then lost, unless
//   transport->reset_after_bytes is set;
// - the transport's memory is gone after `closed`, while the peer with all that was recorded stays until fake_peer_destroy;
// - what the contract forbids aborts: reading or flushing after `ready` told an error, output after shutdown.
#ifndef SUPPORT_FAKE_TRANSPORT_H
#define SUPPORT_FAKE_TRANSPORT_H

#include "base/rng.h"
#include "net/loop.h"
#include "net/transport.h"

struct fake_options {
    uint64_t seed;
    uint32_t
        piece_max; // bytes come in pieces of 1 to this many; 0: as much at once as a socket would give. In a pair with pieces writes may be short as well
    uint32_t late_max; // each event may be late by some turns, one in `late_max + 1` on average is not; 0: none is
    size_t window;     // pair: bytes that may be on their way in one direction; 0: 64 KiB
    bool connecting;   // single: `ready` comes after fake_peer_connected
};

// Bytes in a plain array, so that no block of the loop is in use for them.
struct fake_bytes {
    char *bytes;
    size_t begin;
    size_t end;
    size_t capacity;
};

struct fake_peer {
    struct transport *transport; // for what is tested; NULL once it was freed
    struct loop *loop;

    // What the user did so far.
    bool reading;      // read_start was called last
    bool shut_down;    // its side ended in order, after all its output
    bool closed;       // close was called
    bool closed_reset; // with `reset`
    uint32_t flushes;  // calls of flush that found output
    struct {
        uint32_t ready, bytes, ended, drained, closed;
    } calls; // of the user's callbacks

    // Private.
    struct fake_options options;
    struct fake_peer *joined; // the other one of a pair
    struct rng rng;
    struct task event;
    struct fake_bytes incoming; // to be read by the user
    struct fake_bytes sent;     // single: flushed by the user
    size_t accepts;             // single: bytes that may still be taken
    struct block *block;        // of the last piece, while the next may lie behind it
    enum error ready_error;
    enum error broken;
    bool connecting;
    bool ready_due;
    bool ready_failed;
    bool end_due;
    bool end_told;
    bool break_told;
    bool waiting_to_write;
    bool shutdown_wanted;
};

// A connection that is made, unless options->connecting. `options` may be NULL: all zero. Transport and peer are to be closed and destroyed apart.
struct fake_peer *fake_peer_create(struct loop *loop, const struct fake_options *options, const struct transport_handler *handler, void *user);

// Two transports, joined. handlers[i] and users[i] belong to peers[i]->transport; they may be NULL here and set in the transport before the next turn.
// Close means to the other: an orderly end, or a reset where there were bytes that the closed one had not read, or where the other sends more.
void fake_pair_create(struct loop *loop, const struct fake_options *options, const struct transport_handler *const handlers[2], void *const users[2],
                      struct fake_peer *peers[2]);

// The transport must be closed, and `closed` have come.
void fake_peer_destroy(struct fake_peer *peer);

// Single, connecting: `ready` will come with `error`.
void fake_peer_connected(struct fake_peer *peer, enum error error);

// Single: bytes for the user. Copied.
void fake_peer_send(struct fake_peer *peer, struct bytes text);

// Single: the peer ends its side in order, behind the bytes sent so far.
void fake_peer_end(struct fake_peer *peer);

// Either kind: the connection breaks. With `keep_unread` the bytes sent before it can still be read, else they are lost.
void fake_peer_reset(struct fake_peer *peer, bool keep_unread);

// Single: `count` more bytes are taken (at first SIZE_MAX: all); 0: no more for now. `drained` follows where it is due.
void fake_peer_accept(struct fake_peer *peer, size_t count);

// Single: all that was flushed so far and not forgotten. Valid until the next turn.
struct bytes fake_peer_sent(const struct fake_peer *peer);
void fake_peer_forget_sent(struct fake_peer *peer);

// Bytes that the user has not read yet.
size_t fake_peer_unread(const struct fake_peer *peer);

#endif
