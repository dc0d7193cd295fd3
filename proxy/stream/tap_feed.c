// See tap_feed.h. Lines become visible, and the reader is told, once in a turn.
#include "stream/tap_feed.h"

#include "base/check.h"
#include "stream/stream.h"

// --- the reader's thread ---

static void publish(struct task *task) {
    struct tap_feed *feed = CONTAINER_OF(task, struct tap_feed, publish);
    line_ring_publish(&feed->lines);
    mailbox_leave_note(feed->home, &feed->note);
}

static void on_farewell(struct note *note) {
    struct tap_feed *feed = CONTAINER_OF(note, struct tap_feed, farewell);
    feed->is_detached = true;
    feed->note.deliver(&feed->note);
}

void tap_feed_init(struct tap_feed *feed, struct tap_terms *terms, struct mailbox *home, void (*on_note)(struct note *note), void *user) {
    *feed = (struct tap_feed){.terms = terms, .home = home, .user = user};
    line_ring_init(&feed->lines, TAP_RING_BYTES, ACCESS_LOG_LINE_MAX);
    task_init(&feed->publish, publish);
    note_init(&feed->note, on_note);
    note_init(&feed->farewell, on_farewell);
}

void tap_feed_dispose(struct tap_feed *feed) {
    mailbox_withdraw_note(feed->home, &feed->note);
    mailbox_withdraw_note(feed->home, &feed->farewell);
    line_ring_dispose(&feed->lines);
}

struct tap_feed *tap_feeds_turn(struct tap_feed *feeds, uint32_t count, uint32_t *turn) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = (*turn + i) % count;
        if (line_ring_waiting(&feeds[at].lines) > 0) {
            *turn = (at + 1) % count;
            return &feeds[at];
        }
    }
    return NULL;
}

// Up to and with the last line feed; 0: there is none.
static size_t whole_lines(const struct iovec *piece) {
    const char *last = memrchr(piece->iov_base, '\n', piece->iov_len);
    return last == NULL ? 0 : (size_t)(last - (const char *)piece->iov_base) + 1;
}

int tap_feed_front(const struct tap_feed *feed, size_t most, struct iovec pieces[2]) {
    CHECK(most >= ACCESS_LOG_LINE_MAX);
    int count = line_ring_front(&feed->lines, most, pieces);
    if (count == 2) {
        pieces[1].iov_len = whole_lines(&pieces[1]);
        count = pieces[1].iov_len > 0 ? 2 : 1;
    }
    if (count == 1)
        pieces[0].iov_len = whole_lines(&pieces[0]);
    CHECK(count == 0 || pieces[0].iov_len > 0);
    return count;
}

// --- the worker's thread ---

void tap_feed_attach(struct tap_feed *feed, struct stream_env *env) {
    feed->loop = env->loop;
    feed->next = env->taps;
    env->taps = feed;
    atomic_store_explicit(&feed->is_attached, true, memory_order_release);
    mailbox_leave_note(feed->home, &feed->note);
}

void tap_feed_detach(struct tap_feed *feed, struct stream_env *env) {
    struct tap_feed **at = &env->taps;
    while (*at != feed) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = feed->next;
    task_cancel(&feed->publish);
    line_ring_publish(&feed->lines);
    mailbox_leave_note(feed->home, &feed->farewell);
}

// GCRA: a bucket of as many lines as may be made in a second, full at first.
static bool pay(struct tap_terms *terms, nanoseconds now) {
    uint64_t paid = atomic_load_explicit(&terms->paid, memory_order_relaxed);
    for (;;) {
        const uint64_t after = (paid > now ? paid : now) + NS_PER_S / terms->rate;
        if (after > now + NS_PER_S)
            return false;
        if (atomic_compare_exchange_weak_explicit(&terms->paid, &paid, after, memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}

static void drop(struct tap_feed *feed, struct metric_cell *counter) {
    metric_add(&feed->dropped, 1);
    metric_add(counter, 1);
}

// Whether there is to be a line, with all that is known before there is one: what is dropped costs no more than this.
static bool reserve(struct tap_feed *feed, struct worker_metrics *metrics) {
    struct tap_terms *terms = feed->terms;
    if (atomic_load_explicit(&terms->granted, memory_order_relaxed) >= terms->count)
        return false;
    if (line_ring_room(&feed->lines) == NULL) {
        drop(feed, &metrics->tap_dropped_full);
        return false;
    }
    if (!pay(terms, feed->loop->now)) {
        drop(feed, &metrics->tap_dropped_rate);
        return false;
    }
    return atomic_fetch_add_explicit(&terms->granted, 1, memory_order_relaxed) < terms->count; // or another worker has made the last one
}

bool taps_reserve(struct tap_feed *first, const struct access_record *record, struct worker_metrics *metrics) {
    bool is_reserved = false;
    for (struct tap_feed *feed = first; feed != NULL; feed = feed->next) {
        CHECK(!feed->is_reserved);
        feed->is_reserved = access_match_wants(&feed->terms->match, record) && reserve(feed, metrics);
        is_reserved |= feed->is_reserved;
    }
    return is_reserved;
}

static void tell(struct tap_feed *feed, const struct access_record *record, struct worker_metrics *metrics) {
    char *line = line_ring_room(&feed->lines);
    CHECK(line != NULL);
    line_ring_add(&feed->lines, feed->terms->is_brief ? access_log_format_brief(record, line, ACCESS_LOG_LINE_MAX)
                                                      : access_log_format(record, line, ACCESS_LOG_LINE_MAX));
    metric_add(&metrics->tap_lines, 1);
    loop_flush(feed->loop, &feed->publish);
}

void taps_tell(struct tap_feed *first, const struct access_record *record, struct worker_metrics *metrics) {
    for (struct tap_feed *feed = first; feed != NULL; feed = feed->next) {
        if (feed->is_reserved)
            tell(feed, record, metrics);
        feed->is_reserved = false;
    }
}
