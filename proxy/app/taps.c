// See taps.h. Whatever happens to a tap wakes its one task, and only tap_advance decides.
#include "app/taps.h"

#include "admin/tap_query.h"
#include "app/figures.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

// How often a reader is told that lines were dropped.
#define TELL_DROPPED_NS NS_PER_S

// A reader that takes nothing does not hold the end of the process up for longer.
#define LINGER_NS (2 * NS_PER_S)

#define NOTICE_MAX 128

enum tap_state {
    TAP_ATTACHING, // some worker has no feed yet
    TAP_OPEN,
    TAP_DETACHING, // some worker has a feed still
    TAP_EMPTYING,  // no worker adds anything; the reader takes what there is
    TAP_ENDED,     // the reader was given all of it
};

struct tap {
    struct list link;
    struct proxy *proxy;
    struct admin_query *query;
    struct tap_terms terms;
    enum tap_state state;
    const char *reason; // why it ends; NULL: it does not
    uint64_t lines;     // that the reader was given
    uint64_t dropped;   // as it was told last
    bool tells_dropped; // it is time to
    struct timer over;
    struct timer tell;
    struct task advance;
    struct task release;
    uint32_t turn; // worker whose lines come first
    uint32_t count;
    struct tap_feed feeds[];
};

static void set_state(struct tap *tap, enum tap_state state) {
    CHECK(state > tap->state);
    tap->state = state;
}

static void wake(struct tap *tap) {
    loop_wake(&tap->proxy->loop, &tap->advance);
}

// --- what happens to it ---

static void on_note(struct note *note) {
    wake(CONTAINER_OF(note, struct tap_feed, note)->user);
}

static void on_writable(struct admin_query *query) {
    wake(query->source_state);
}

static void end_by(struct tap *tap, const char *reason) {
    if (tap->reason == NULL)
        tap->reason = reason;
    wake(tap);
}

static void on_over(struct admin_query *query) {
    end_by(query->source_state, "gone");
}

static const struct admin_open_reply calls = {.writable = on_writable, .over = on_over};

static void on_duration(struct timer *timer) {
    end_by(CONTAINER_OF(timer, struct tap, over), "duration");
}

static void on_tell(struct timer *timer) {
    struct tap *tap = CONTAINER_OF(timer, struct tap, tell);
    tap->tells_dropped = true;
    loop_timer_start(&tap->proxy->loop, &tap->tell, TELL_DROPPED_NS);
    wake(tap);
}

// --- lines ---

static uint64_t dropped_of(const struct tap *tap) {
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < tap->count; i++)
        dropped += metric_read(&tap->feeds[i].dropped);
    return dropped;
}

static uint64_t lines_in(const struct iovec *piece) {
    uint64_t count = 0;
    const char *at = piece->iov_base, *end = at + piece->iov_len;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void pass_on(struct tap *tap, struct tap_feed *feed) {
    struct iovec pieces[2];
    const int count = tap_feed_front(feed, admin_reply_room(tap->query), pieces);
    size_t length = 0;
    CHECK(count > 0);
    for (int i = 0; i < count; i++) {
        admin_reply_write(tap->query, bytes_from(pieces[i].iov_base, pieces[i].iov_len));
        tap->lines += lines_in(&pieces[i]);
        length += pieces[i].iov_len;
    }
    line_ring_take(&feed->lines, length);
}

// False: there may be more than the reader takes now.
static bool pass_on_all(struct tap *tap) {
    while (admin_reply_room(tap->query) >= ACCESS_LOG_LINE_MAX) {
        struct tap_feed *feed = tap_feeds_turn(tap->feeds, tap->count, &tap->turn);
        if (feed == NULL)
            return true;
        pass_on(tap, feed);
    }
    return false;
}

static void write_notice(struct tap *tap, const char *text, int length) {
    CHECK(length > 0 && length < NOTICE_MAX);
    admin_reply_write(tap->query, bytes_from(text, (size_t)length));
}

static void tell_dropped(struct tap *tap) {
    char text[NOTICE_MAX];
    const uint64_t dropped = dropped_of(tap);
    tap->tells_dropped = false;
    if (dropped == tap->dropped)
        return;
    tap->dropped = dropped;
    write_notice(
        tap, text,
        snprintf(text, sizeof text,
                 tap->terms.is_brief ? "# dropped so far: %llu, behind %llu lines\n" : "{\"event\":\"dropped\",\"dropped\":%llu,\"lines\":%llu}\n",
                 (unsigned long long)dropped, (unsigned long long)tap->lines));
}

static void tell_end(struct tap *tap) {
    char text[NOTICE_MAX];
    write_notice(tap, text,
                 snprintf(text, sizeof text,
                          tap->terms.is_brief ? "# end: %s, dropped %llu, lines %llu\n"
                                              : "{\"event\":\"end\",\"reason\":\"%s\",\"dropped\":%llu,\"lines\":%llu}\n",
                          tap->reason, (unsigned long long)dropped_of(tap), (unsigned long long)tap->lines));
}

// --- its steps ---

static bool is_attached(const struct tap *tap) {
    for (uint32_t i = 0; i < tap->count; i++)
        if (!atomic_load_explicit(&tap->feeds[i].is_attached, memory_order_acquire))
            return false;
    return true;
}

static bool is_detached(const struct tap *tap) {
    for (uint32_t i = 0; i < tap->count; i++)
        if (!tap->feeds[i].is_detached)
            return false;
    return true;
}

static void release(struct task *task) {
    struct tap *tap = CONTAINER_OF(task, struct tap, release);
    for (uint32_t i = 0; i < tap->count; i++)
        tap_feed_dispose(&tap->feeds[i]);
    free(tap);
}

static bool is_over(const struct tap *tap) {
    return tap->query->request == NULL;
}

static void complete(struct tap *tap) {
    struct proxy *proxy = tap->proxy;
    loop_timer_stop(&proxy->loop, &tap->over);
    loop_timer_stop(&proxy->loop, &tap->tell);
    task_cancel(&tap->advance);
    list_remove(&tap->link);
    proxy->taps.count--;
    figures_complete(proxy, tap->query);
}

static void open_reply(struct tap *tap) {
    const struct tap_question *question = tap->query->tap.question;
    set_state(tap, TAP_OPEN);
    admin_reply_open(tap->query, question->is_text ? TAP_TYPE_TEXT : TAP_TYPE_JSON);
    loop_timer_start(&tap->proxy->loop, &tap->over, question->duration);
    loop_timer_start(&tap->proxy->loop, &tap->tell, TELL_DROPPED_NS);
}

static void detach(struct tap *tap) {
    set_state(tap, TAP_DETACHING);
    for (uint32_t i = 0; i < tap->count; i++)
        worker_detach_tap(&tap->proxy->workers[i], &tap->feeds[i]);
}

// False: there may be more than the reader takes now.
static bool serve(struct tap *tap) {
    const bool is_empty = pass_on_all(tap);
    if (tap->tells_dropped && admin_reply_room(tap->query) >= NOTICE_MAX)
        tell_dropped(tap);
    return is_empty && admin_reply_room(tap->query) >= NOTICE_MAX;
}

static void serve_while_open(struct tap *tap) {
    if (!is_over(tap))
        (void)serve(tap);
    if (tap->lines >= tap->terms.count)
        end_by(tap, "count");
    if (tap->reason != NULL)
        detach(tap);
}

static void empty(struct tap *tap) {
    set_state(tap, TAP_EMPTYING);
    if (!is_over(tap))
        admin_reply_hurry(tap->query);
}

static void end_reply(struct tap *tap) {
    set_state(tap, TAP_ENDED);
    if (is_over(tap))
        return;
    tell_end(tap);
    admin_reply_end(tap->query);
}

static void step(struct tap *tap) {
    switch (tap->state) {
    case TAP_ATTACHING: // the head tells the reader that it is open: what ends before that is told behind it
        if (is_over(tap))
            detach(tap);
        else if (is_attached(tap))
            open_reply(tap);
        break;
    case TAP_OPEN:
        serve_while_open(tap);
        break;
    case TAP_DETACHING:
        if (is_detached(tap))
            empty(tap);
        break;
    case TAP_EMPTYING:
        if (is_over(tap) || serve(tap))
            end_reply(tap);
        break;
    case TAP_ENDED:
        if (is_over(tap)) {
            complete(tap);
            loop_defer(&tap->proxy->loop, &tap->release);
        }
        break;
    }
}

static void tap_advance(struct task *task) {
    struct tap *tap = CONTAINER_OF(task, struct tap, advance);
    enum tap_state before;
    do {
        before = tap->state;
        step(tap);
    } while (tap->state != before);
}

// --- from outside ---

void taps_init(struct taps *taps) {
    *taps = (struct taps){0};
    list_init(&taps->all);
}

static void refuse(struct proxy *proxy, struct admin_query *query, struct bytes reason) {
    query->tap.error = reason;
    figures_complete(proxy, query);
}

static struct tap *create(struct proxy *proxy, struct admin_query *query) {
    const struct tap_question *question = query->tap.question;
    struct tap *tap = alloc_zeroed_or_abort(1, sizeof *tap + proxy->worker_count * sizeof tap->feeds[0]);
    tap->proxy = proxy;
    tap->query = query;
    tap->terms = (struct tap_terms){.match = question->match, .is_brief = question->is_text, .count = question->count, .rate = question->rate};
    tap->count = proxy->worker_count;
    list_init(&tap->link);
    timer_init(&tap->over, on_duration);
    timer_init(&tap->tell, on_tell);
    task_init(&tap->advance, tap_advance);
    task_init(&tap->release, release);
    return tap;
}

void tap_begin(struct proxy *proxy, struct admin_query *query) {
    struct taps *taps = &proxy->taps;
    if (taps->finished_at != 0) {
        refuse(proxy, query, BYTES("the process ends"));
        return;
    }
    if (taps->count == TAPS_MAX) {
        taps->refused++;
        refuse(proxy, query, pool_format(&query->pool, "%u readers are there already, the most at once", TAPS_MAX));
        return;
    }
    struct tap *tap = create(proxy, query);
    query->source_state = tap;
    query->open_reply = &calls;
    list_push_back(&taps->all, &tap->link);
    if (++taps->count > taps->count_peak)
        taps->count_peak = taps->count;
    for (uint32_t i = 0; i < tap->count; i++) {
        tap_feed_init(&tap->feeds[i], &tap->terms, &proxy->loop.mailbox, on_note, tap);
        worker_attach_tap(&proxy->workers[i], &tap->feeds[i]);
    }
}

void taps_finish(struct proxy *proxy) {
    proxy->taps.finished_at = proxy->loop.now;
    LIST_EACH(&proxy->taps.all, node, following)
        end_by(LIST_ENTRY(node, struct tap, link), "shutdown");
}

bool taps_linger(const struct proxy *proxy) {
    return proxy->taps.count > 0 && proxy->loop.now - proxy->taps.finished_at < LINGER_NS;
}

void taps_end(struct proxy *proxy) {
    while (!list_is_empty(&proxy->taps.all)) {
        struct tap *tap = LIST_ENTRY(list_first(&proxy->taps.all), struct tap, link);
        complete(tap);
        release(&tap->release);
    }
}
