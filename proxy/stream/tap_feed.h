// What somebody who looks on at live requests gets of one worker: lines of requests that have ended, by a choice, in a ring that the worker fills and the reader's thread empties. Traffic never
// waits: a line for which there is no room, or that is more than the reader's rate, is dropped and counted. While nobody looks on a stream pays a branch.
//
// Owner:      the reader's thread, before and after; in between the worker has it in its stream_env.
// Start:      tap_feed_attach, on the worker's thread.
// Callbacks:  `on_note`, on the reader's thread: lines are there, or the feed was attached or detached.
// Cancel:     tap_feed_detach, on the worker's thread; `is_detached` then comes true for the reader, and what is in the ring is all.
// Memory:     the owner's: not before it is detached, or the worker's thread has ended.
#ifndef STREAM_TAP_FEED_H
#define STREAM_TAP_FEED_H

#include "base/line_ring.h"
#include "base/mailbox.h"
#include "base/metric_cell.h"
#include "net/loop.h"
#include "telemetry/access_match.h"

struct stream_env;
struct worker_metrics;

// Of one worker for one reader: about a hundred usual lines, for while the reader's thread does something else. Touched as lines go through.
#define TAP_RING_BYTES ((size_t)65536)

// What one reader wants, of all workers together.
struct tap_terms {
    struct access_match match; // its texts outlive all feeds
    bool is_brief;             // for people; else JSON
    uint64_t count;            // lines; no more are made, nor counted as dropped. UINT64_MAX: as many as there are
    uint32_t rate;             // lines per second, as many at once; at least 1
    _Atomic uint64_t granted;  // lines that were made, or are being
    _Atomic uint64_t paid;     // the time by which they would have been made at that rate
};

struct tap_feed {
    struct tap_feed *next; // of the worker
    struct tap_terms *terms;
    struct line_ring lines;
    struct metric_cell dropped;
    struct loop *loop; // the worker's
    struct task publish;
    struct mailbox *home; // of the reader's thread
    struct note note;
    struct note farewell;     // the last that the worker touches of it
    _Atomic bool is_attached; // or was
    bool is_detached;         // the reader's
    bool is_reserved;         // the worker's: there is to be a line of the record at hand
    void *user;               // the reader's own
};

// --- the reader's thread ---

void tap_feed_init(struct tap_feed *feed, struct tap_terms *terms, struct mailbox *home, void (*on_note)(struct note *note), void *user);
void tap_feed_dispose(struct tap_feed *feed);

// The next of `count` feeds that has lines, from `*turn` on, which is then that behind it: who takes a little at a time hears of all workers. NULL: none has.
struct tap_feed *tap_feeds_turn(struct tap_feed *feeds, uint32_t count, uint32_t *turn);

// Whole lines that wait, at most `most` bytes (ACCESS_LOG_LINE_MAX or more) of them, in one or two pieces: returns the number of pieces. Then line_ring_take, of what they have together.
int tap_feed_front(const struct tap_feed *feed, size_t most, struct iovec pieces[2]);

// --- the worker's thread ---

void tap_feed_attach(struct tap_feed *feed, struct stream_env *env);
void tap_feed_detach(struct tap_feed *feed, struct stream_env *env);

// Whether any of these, the first of which is given, is to get a line of the record: it wants it, and its terms and its room allow it. What it wants and does not get is counted. Texts that are printed
// for the record may be missing yet.
bool taps_reserve(struct tap_feed *first, const struct access_record *record, struct worker_metrics *metrics);

// Those get it, behind a taps_reserve that said so.
void taps_tell(struct tap_feed *first, const struct access_record *record, struct worker_metrics *metrics);

#endif
