// Tries, waits, and how a request ends. See otlp_sender.h.
#include "agent/otlp_sender.h"

#include "base/check.h"
#include "config/url_service.h"

#include <stdio.h>
#include <stdlib.h>

// As OpenTelemetry's exporters wait between tries: twice as long each time, from one second to five, some less by chance, so that those that failed together do not come back together.
#define BACKOFF_FIRST_NS NS_PER_S
#define BACKOFF_MAX_NS (5 * NS_PER_S)

// A try that has less time than this is not worth it.
#define TRY_LEAST_NS (100 * NS_PER_MS)

static void set_state(struct otlp_sender *sender, enum otlp_sender_state state) {
    static const bool legal[4][4] = {
        [OTLP_SENDER_IDLE] = {[OTLP_SENDER_HELD] = true},
        [OTLP_SENDER_HELD] = {[OTLP_SENDER_ENCODING] = true, [OTLP_SENDER_UNDER_WAY] = true, [OTLP_SENDER_IDLE] = true},
        [OTLP_SENDER_ENCODING] = {[OTLP_SENDER_UNDER_WAY] = true, [OTLP_SENDER_HELD] = true, [OTLP_SENDER_IDLE] = true},
        [OTLP_SENDER_UNDER_WAY] = {[OTLP_SENDER_HELD] = true, [OTLP_SENDER_IDLE] = true},
    };
    CHECK(legal[sender->state][state]);
    sender->state = state;
}

static void drop_encoder(struct otlp_sender *sender) {
    otlp_encoder_destroy(sender->encoder);
    sender->encoder = NULL;
}

static void finish(struct otlp_sender *sender, enum otlp_end end, uint64_t rejected) {
    loop_timer_stop(sender->loop, &sender->timer);
    drop_encoder(sender);
    bytes_drop(&sender->body);
    free(sender->memory);
    sender->memory = NULL;
    const struct otlp_result result = {
        .end = end, .records = sender->records, .rejected = rejected < sender->records ? rejected : sender->records, .reason = sender->reason};
    sender->records = 0;
    sender->is_dropped = false;
    set_state(sender, OTLP_SENDER_IDLE);
    sender->done(sender->user, &result);
}

static void carry(struct otlp_sender *sender) {
    const nanoseconds now = sender->loop->now;
    // Its time begins here, not while the receiver wants nothing.
    if (sender->tries == 0 && sender->tried.export_timeout < sender->give_up_at - now)
        sender->give_up_at = now + sender->tried.export_timeout;
    CHECK(sender->give_up_at > now);
    const nanoseconds left = sender->give_up_at - now;
    set_state(sender, OTLP_SENDER_UNDER_WAY);
    sender->retries += sender->tries > 0;
    sender->tries++;
    sender->is_elsewhere = sender->is_cancelled = false;
    sender->carrier.carry(sender->carrier.user, &sender->tried, sender->body, sender->tried.timeout < left ? sender->tried.timeout : left);
}

static void go_on(struct otlp_sender *sender, enum error error) {
    bool is_done = false;
    if (error == OK)
        error = otlp_encoder_step(sender->encoder, &is_done);
    if (error != OK) {
        snprintf(sender->reason, sizeof sender->reason, "%s", error_name(error));
        finish(sender, error == ERROR_BODY_TOO_LARGE ? OTLP_END_TOO_LARGE : OTLP_END_MEMORY, 0);
    } else if (is_done) {
        sender->body = otlp_encoder_take(sender->encoder);
        drop_encoder(sender);
        carry(sender);
    } else {
        loop_timer_start(sender->loop, &sender->timer, 0);
    }
}

// Each try is of the form that is wanted now: documents may have changed since the last one. Where it is that of the last one so is the body.
static void try_now(struct otlp_sender *sender) {
    const struct otlp_sender_terms last = sender->tried;
    sender->tried = sender->terms;
    if (sender->body.len > 0 && last.protocol == sender->tried.protocol && last.compression == sender->tried.compression) {
        carry(sender);
        return;
    }
    set_state(sender, OTLP_SENDER_ENCODING);
    bytes_drop(&sender->body);
    go_on(sender, otlp_encoder_create(sender->tried.protocol, sender->tried.compression, sender->signal, sender->request, &sender->encoder));
}

static void on_timer(struct timer *timer) {
    struct otlp_sender *sender = CONTAINER_OF(timer, struct otlp_sender, timer);
    if (sender->give_up_at <= sender->loop->now)
        finish(sender, OTLP_END_TIMEOUT, 0); // it was hurried meanwhile
    else if (sender->state == OTLP_SENDER_ENCODING)
        go_on(sender, OK);
    else
        try_now(sender);
}

static nanoseconds backoff(struct otlp_sender *sender) {
    nanoseconds whole = BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < sender->tries && whole < BACKOFF_MAX_NS; i++)
        whole *= 2;
    whole = whole < BACKOFF_MAX_NS ? whole : BACKOFF_MAX_NS;
    const nanoseconds half = whole / 2;
    return half + rng_below(&sender->loop->rng, (uint32_t)half);
}

// Holds it until `at`. False: no try would be left time for then.
static bool hold_until(struct otlp_sender *sender, nanoseconds at) {
    if (at + TRY_LEAST_NS > sender->give_up_at)
        return false;
    set_state(sender, OTLP_SENDER_HELD);
    loop_timer_start(sender->loop, &sender->timer, at - sender->loop->now);
    return true;
}

static void cancel_try(struct otlp_sender *sender) {
    CHECK(sender->state == OTLP_SENDER_UNDER_WAY);
    if (!sender->is_cancelled) {
        sender->is_cancelled = true;
        sender->carrier.cancel(sender->carrier.user);
    }
}

void otlp_sender_init(struct otlp_sender *sender, struct loop *loop, enum otlp_signal signal, struct otlp_carrier carrier,
                      void (*done)(void *user, const struct otlp_result *result), void *user) {
    *sender = (struct otlp_sender){.loop = loop, .signal = signal, .carrier = carrier, .done = done, .user = user};
    timer_init(&sender->timer, on_timer);
}

void otlp_sender_lead(struct otlp_sender *sender, const struct otlp_config *config) {
    const struct bytes url = config == NULL || config->url == NULL ? BYTES_NONE : config->url->text;
    const bool is_other = !bytes_equal(url, sender->url) || (config != NULL && config->protocol != sender->terms.protocol);
    if (config != NULL)
        sender->terms = (struct otlp_sender_terms){.protocol = config->protocol,
                                                   .compression = config->compression,
                                                   .timeout = config->timeout,
                                                   .export_timeout = config->batch.export_timeout};
    sender->is_dropped = sender->is_dropped && config == NULL;
    if (!is_other)
        return;
    bytes_drop(&sender->url);
    sender->url = url.len > 0 ? bytes_keep(url) : BYTES_NONE;
    sender->quiet_until = 0;
    if (sender->state == OTLP_SENDER_HELD || sender->state == OTLP_SENDER_ENCODING) {
        if (sender->state == OTLP_SENDER_ENCODING)
            set_state(sender, OTLP_SENDER_HELD); // it is made anew
        drop_encoder(sender);
        loop_timer_stop(sender->loop, &sender->timer);
        loop_timer_start(sender->loop, &sender->timer, 0);
    } else if (sender->state == OTLP_SENDER_UNDER_WAY) {
        sender->is_elsewhere = true;
        cancel_try(sender);
    }
}

void otlp_sender_send(struct otlp_sender *sender, char *memory, struct bytes request, uint64_t records) {
    CHECK(sender->state == OTLP_SENDER_IDLE && records > 0);
    const nanoseconds now = sender->loop->now;
    sender->memory = memory;
    sender->request = request;
    sender->records = records;
    sender->tries = 0;
    sender->give_up_at = UINT64_MAX;
    sender->is_dropped = false;
    // The first try is never made from here, so that `done` is not either.
    set_state(sender, OTLP_SENDER_HELD);
    snprintf(sender->reason, sizeof sender->reason, "%s", sender->quiet_until > now ? "the receiver has asked to wait" : "");
    loop_timer_start(sender->loop, &sender->timer, sender->quiet_until > now ? sender->quiet_until - now : 0);
}

void otlp_sender_answered(struct otlp_sender *sender, const struct otlp_answer *answer) {
    struct otlp_outcome outcome;
    const nanoseconds now = sender->loop->now;
    CHECK(sender->state == OTLP_SENDER_UNDER_WAY);
    otlp_answer_judge(sender->tried.protocol, answer, loop_wall(sender->loop), &outcome);
    memcpy(sender->reason, outcome.reason, sizeof sender->reason);
    sender->is_cancelled = false;
    switch (outcome.verdict) {
    case OTLP_TAKEN:
        sender->quiet_until = 0;
        finish(sender, OTLP_END_EXPORTED, outcome.rejected);
        return;
    case OTLP_REFUSED:
        finish(sender, OTLP_END_REFUSED, 0);
        return;
    case OTLP_TOO_LARGE:
        finish(sender, OTLP_END_TOO_LARGE, 0);
        return;
    case OTLP_AGAIN:
        break;
    }
    nanoseconds at = now; // another receiver has asked for nothing
    if (!sender->is_elsewhere)
        at = now + (outcome.retry_after > 0 ? outcome.retry_after : backoff(sender));
    if (!sender->is_elsewhere && outcome.retry_after > 0)
        sender->quiet_until = at; // for those that follow, too
    if (sender->is_dropped)
        finish(sender, OTLP_END_DROPPED, 0);
    else if (!hold_until(sender, at))
        finish(sender, OTLP_END_TIMEOUT, 0);
}

void otlp_sender_hurry(struct otlp_sender *sender, nanoseconds at) {
    const nanoseconds now = sender->loop->now;
    if (sender->state == OTLP_SENDER_IDLE || sender->give_up_at <= at)
        return;
    sender->give_up_at = at;
    if (sender->state != OTLP_SENDER_HELD)
        return;
    if (sender->quiet_until + TRY_LEAST_NS > at)
        sender->give_up_at = now; // it must not be tried before
    if (sender->give_up_at == now || sender->timer.expiry_ms * NS_PER_MS > now) {
        loop_timer_stop(sender->loop, &sender->timer);
        loop_timer_start(sender->loop, &sender->timer, sender->quiet_until > now && sender->give_up_at > now ? sender->quiet_until - now : 0);
    }
}

void otlp_sender_drop(struct otlp_sender *sender) {
    if (sender->state == OTLP_SENDER_HELD || sender->state == OTLP_SENDER_ENCODING) {
        finish(sender, OTLP_END_DROPPED, 0);
    } else if (sender->state == OTLP_SENDER_UNDER_WAY) {
        sender->is_dropped = true;
        cancel_try(sender);
    }
}

void otlp_sender_end(struct otlp_sender *sender) {
    if (sender->state != OTLP_SENDER_IDLE)
        finish(sender, OTLP_END_DROPPED, 0);
}

void otlp_sender_dispose(struct otlp_sender *sender) {
    CHECK(sender->state == OTLP_SENDER_IDLE);
    loop_timer_stop(sender->loop, &sender->timer);
    bytes_drop(&sender->url);
}
