// See trial.h. The life of one request in the order of the traffic, with some others beside it; the accident comes where the seed says.
#include "support/trial.h"

#include "base/check.h"
#include "stream/subrequest.h"
#include "support/seeds.h"
#include "support/trial_model.h"
#include "support/trial_world.h"

#include <stdio.h>

#define ROUNDS 60
#define COMING_MAX 10 // requests that come by chance
#define PATIENCE (400 * NS_PER_S)

// How often each accident befell somebody at each boundary, over all seeds of a trial.
static unsigned came[TRIAL_MOMENTS][TRIAL_ACCIDENTS];

uint32_t trial_below(struct trial_run *run, uint32_t bound) {
    return rng_below(&run->rng, bound);
}

// --- accidents ---

static void reload(struct trial_run *run, unsigned version) {
    run->version = version;
    run->was_removed |= version == 2;
    loopback_apply(&run->world, run->trial->documents[version]);
}

static bool reset_asked(struct trial_run *run, struct far_conn *conn, struct owner_stream *asked, void *user) {
    const struct trial_exchange *exchange = trial_exchange_of(run, asked);
    bool *befell = user;
    if (exchange != run->victim && (exchange != NULL || !trial_is_support(conn)))
        return false;
    conn->server.codec->ops->reset(conn->server.codec, &asked->stream, ERROR_INTERNAL);
    *befell = true;
    return false;
}

// Those too on which nobody is asked now.
static bool break_conns(struct trial_run *run) {
    bool befell = false;
    for (struct far_conn *conn = run->world.far.conns; conn != NULL; conn = conn->next)
        if (conn->speaks && !conn->peer->closed) {
            fake_peer_reset(conn->peer, trial_below(run, 2) == 0);
            befell = true;
        }
    return befell;
}

static void stop(struct trial_run *run) {
    run->stopped = true;
    for (unsigned i = 0; i < run->count; i++)
        (void)trial_fail(&run->exchanges[i], ERROR_DRAINING);
    subrequests_cancel_all(&run->world.env);
}

// What befalls servers. False: nobody.
static bool strike_servers(struct trial_run *run) {
    bool befell = false;
    switch (run->accident) {
    case SERVER_RESETS:
        (void)trial_each_asked(run, reset_asked, &befell);
        return befell;
    case SERVER_BREAKS:
        return break_conns(run);
    case SERVERS_SILENT:
        run->silent = true;
        run->world.far.mode = FAR_WAIT;
        return true;
    case SERVERS_REFUSE:
        run->world.far.mode = trial_below(run, 3) == 0 ? FAR_NO_SOCKET : FAR_REFUSE;
        return true;
    default:
        return false;
    }
}

// What befalls us.
static void strike_worker(struct trial_run *run) {
    switch (run->accident) {
    case RELOAD_CHANGED:
        reload(run, 1);
        break;
    case RELOAD_REMOVED:
        reload(run, 2);
        break;
    case WORKER_DRAINS:
        run->world.env.draining = true;
        break;
    case WORKER_STOPS:
        stop(run);
        break;
    default:
        break;
    }
}

// The victim is not over. False: there was nobody whom it could befall, and nothing has happened.
static bool strike(struct trial_run *run) {
    struct trial_exchange *exchange = run->victim;
    switch (run->accident) {
    case CLIENT_GOES:
        return trial_fail(exchange, ERROR_CLIENT_GONE);
    case CLIENT_GARBLES:
        return exchange->told && !exchange->body_ended && trial_fail(exchange, ERROR_BAD_REQUEST);
    case CLIENT_ENDS_EARLY:
        return trial_end_early(exchange);
    case CLIENT_STALLS:
        exchange->hurt = true;
        exchange->client.accepts = 0;
        return true;
    case SERVER_RESETS:
    case SERVER_BREAKS:
    case SERVERS_SILENT:
    case SERVERS_REFUSE: {
        const bool befell = strike_servers(run);
        run->servers_trouble |= befell;
        return befell;
    }
    default:
        strike_worker(run);
        return true;
    }
}

static void at(struct trial_run *run, enum trial_moment moment) {
    if (run->moment != moment || run->struck || trial_is_over(run->victim))
        return;
    run->struck = strike(run);
    came[moment][run->accident] += run->struck;
}

// False: at that boundary there is nobody whom it could befall, or by chance alone.
static bool is_to_come(const struct trial *trial, enum trial_moment moment, enum trial_accident accident) {
    switch (accident) {
    case CLIENT_GARBLES:
    case CLIENT_ENDS_EARLY: // a body that has begun and not ended
        return moment > BEFORE_HEAD && moment < BEFORE_ANSWER;
    case SERVER_RESETS: // somebody is asked for the victim, and has not said all
        return (moment == WAITING && trial->asks) || (moment > RESUMING && moment < AT_THE_END);
    case SERVER_BREAKS: // there is a connection
        return moment > BEFORE_DECIDE;
    default:
        return true;
    }
}

static bool is_resuming(const struct trial_run *run) {
    const struct trial_exchange *exchange = run->victim;
    return exchange != NULL && exchange->told && !trial_is_over(exchange) && watched_waits(&run->watched, exchange->client.stream) &&
           list_is_linked(&exchange->client.stream->task.link);
}

// Documents change, and workers stop, between two turns.
static bool comes_in_a_turn(enum trial_accident accident) {
    return accident != RELOAD_CHANGED && accident != RELOAD_REMOVED && accident != WORKER_STOPS && accident != CLIENT_ENDS_EARLY;
}

static void on_watch(struct task *task) {
    struct trial_run *run = CONTAINER_OF(task, struct trial_run, watch);
    if (comes_in_a_turn(run->accident) && is_resuming(run))
        at(run, RESUMING);
}

// --- the others ---

static const struct trial_request *any_request(struct trial_run *run) {
    return &run->trial->requests[trial_below(run, run->trial->request_count)];
}

// It may come as far as the accident is to be (all waits and what is before come to any), and has what that befalls.
static bool suits_accident(const struct trial_run *run, const struct trial_request *request) {
    const bool needs_body = run->moment == IN_BODY || run->accident == CLIENT_GARBLES || run->accident == CLIENT_ENDS_EARLY;
    return (run->moment <= RESUMING || request->fate[0] != TRIAL_REFUSED) && (!needs_body || request->has_body);
}

static const struct trial_request *request_for_accident(struct trial_run *run) {
    const struct trial_request *request = any_request(run);
    for (int i = 0; i < 20 && !suits_accident(run, request); i++)
        request = any_request(run);
    return request;
}

static void arrive(struct trial_run *run) {
    trial_tell(run, trial_open(run, any_request(run)));
}

static void companion_acts(struct trial_run *run) {
    struct trial_exchange *exchange = &run->exchanges[trial_below(run, run->count)];
    if (exchange == run->victim || trial_is_over(exchange))
        return;
    switch (trial_below(run, 8)) {
    case 0:
        (void)trial_fail(exchange, exchange->body_ended || trial_below(run, 2) == 0 ? ERROR_CLIENT_GONE : ERROR_BAD_REQUEST);
        break;
    case 1:
        (void)trial_end_early(exchange);
        break;
    case 2:
    case 3:
        trial_send(exchange, trial_below(run, 2) == 0);
        break;
    default:
        if (!run->silent)
            (void)trial_serve(run, exchange);
        break;
    }
}

// Whatever else goes on meanwhile.
static void meanwhile(struct trial_run *run) {
    if (run->stopped)
        return;
    if (trial_below(run, 3) > 0)
        companion_acts(run);
    if (run->count < COMING_MAX && trial_below(run, 12) == 0)
        arrive(run);
    if (trial_below(run, 60) == 0)
        reload(run, trial_below(run, TRIAL_VERSIONS));
    if (run->trial->jump > 0 && trial_below(run, 20) == 0)
        trial_pass(run, run->trial->jump);
    for (uint32_t turns = trial_below(run, 3); turns > 0; turns--)
        trial_turn(run);
}

// --- the one ---

static bool may_go_on(const struct trial_run *run) {
    const bool nothing_more = run->struck && (run->silent || run->accident == CLIENT_STALLS);
    return !trial_is_over(run->victim) && !nothing_more && !run->stopped;
}

static void await_decision(struct trial_run *run) {
    const struct trial_exchange *exchange = run->victim;
    for (int round = 0; round < ROUNDS && may_go_on(run) && !trial_is_decided(exchange); round++) {
        trial_turn(run);
        if (is_resuming(run))
            at(run, RESUMING);
        if (trial_is_decided(exchange))
            return;
        if (watched_waits(&run->watched, exchange->client.stream))
            at(run, WAITING);
        meanwhile(run);
        if (is_resuming(run))
            at(run, RESUMING);
        if (!may_go_on(run) || trial_below(run, 3) == 0)
            continue;
        if (trial_below(run, 3) > 0 && trial_serve_support(run))
            continue;
        if (run->moment == RESUMING && !comes_in_a_turn(run->accident) && watched_waits(&run->watched, exchange->client.stream))
            at(run, RESUMING); // what is next in time may be that
        trial_wait(run, 100 * NS_PER_MS);
    }
}

// The application says the next part of its answer to the request, as soon as it has got it. False: it never got it.
static bool await_answer(struct trial_run *run) {
    for (int round = 0; round < ROUNDS && may_go_on(run); round++) {
        if (trial_serve(run, run->victim)) {
            if (trial_below(run, 2) == 0)
                trial_turn(run);
            else
                trial_settle(run);
            return true;
        }
        trial_turn(run);
        meanwhile(run);
        if (trial_below(run, 2) == 0 && may_go_on(run))
            (void)trial_serve_support(run);
        if (trial_below(run, 4) == 0)
            trial_wait(run, 100 * NS_PER_MS);
    }
    return false;
}

static void live(struct trial_run *run) {
    struct trial_exchange *exchange = run->victim = trial_open(run, request_for_accident(run));
    at(run, BEFORE_HEAD);
    // Who is to wait may need others that go first.
    const bool is_to_wait = run->moment == WAITING || run->moment == RESUMING;
    for (uint32_t others = is_to_wait ? 1 + trial_below(run, 3) : trial_below(run, 2); others > 0 && may_go_on(run); others--)
        arrive(run);
    trial_turn(run);
    meanwhile(run);
    if (may_go_on(run)) {
        trial_tell(run, exchange);
        at(run, BEFORE_DECIDE);
    }
    await_decision(run);
    if (!trial_is_decided(exchange))
        return;
    if (may_go_on(run) && trial_below(run, 2) == 0)
        trial_settle(run); // to where somebody has got it
    if (may_go_on(run))
        at(run, BEHIND_HEAD);
    for (int half = 0; half < 2 && may_go_on(run); half++) {
        meanwhile(run);
        if (may_go_on(run))
            trial_send(exchange, half == 1);
        if (half == 1 || exchange->request->has_body)
            at(run, half == 0 ? IN_BODY : BEFORE_ANSWER);
    }
    for (enum trial_moment moment = BEHIND_ANSWER_HEAD; moment <= AT_THE_END && may_go_on(run); moment++) {
        if (!await_answer(run))
            return;
        at(run, moment);
        meanwhile(run);
    }
}

// --- the end ---

static bool all_are_over(const struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++)
        if (!trial_is_over(&run->exchanges[i]))
            return false;
    return true;
}

static void finish_clients(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++) {
        struct trial_exchange *exchange = &run->exchanges[i];
        if (trial_is_over(exchange))
            continue;
        if (!exchange->told)
            (void)trial_fail(exchange, ERROR_CLIENT_GONE);
        else if (exchange->client.accepts == 0)
            client_accept(&exchange->client, SIZE_MAX);
        trial_send(exchange, true);
    }
}

static void finish(struct trial_run *run) {
    run->calm = true;
    run->silent = false;
    run->world.far.mode = FAR_ACCEPT;
    run->world.env.draining = false;
    for (int round = 0; round < 4 * ROUNDS && !all_are_over(run); round++) {
        finish_clients(run);
        trial_settle(run);
        if (!trial_serve_all(run))
            trial_wait(run, NS_PER_S);
        trial_settle(run);
    }
    for (int round = 0; round < ROUNDS && run->world.env.subrequest_count > 0; round++) {
        if (!trial_serve_support(run))
            trial_wait(run, NS_PER_S);
        trial_settle(run);
    }
    for (unsigned i = 0; i < run->count; i++)
        if (!trial_is_over(&run->exchanges[i]))
            trial_failed(run, &run->exchanges[i], "it is never over");
}

// What others have left behind: a breaker that is open, keys that are there.
static void warm_up(struct trial_run *run) {
    for (uint32_t left = run->trial->before > 0 ? trial_below(run, run->trial->before + 1) : 0; left > 0; left--) {
        arrive(run);
        finish(run);
    }
    if (run->trial->jump > 0 && trial_below(run, 2) == 0)
        trial_pass(run, run->trial->jump);
    run->calm = false;
}

// Nobody moves any more but the clock; clients have said all, but for one that stalls.
static void lose_patience(struct trial_run *run) {
    run->servers_trouble = true;
    for (unsigned i = 0; i < run->count; i++)
        if (run->exchanges[i].told && (&run->exchanges[i] != run->victim || run->accident != CLIENT_STALLS))
            trial_send(&run->exchanges[i], true);
    const nanoseconds patience = run->trial->patience;
    trial_pass(run, patience == 0 ? PATIENCE : patience);
    if (!trial_is_over(run->victim) && run->victim->told)
        trial_failed(run, run->victim, "it waits for ever");
}

const struct trial_exchange *trial_ask(struct trial_run *run, const struct trial_request *request) {
    CHECK(run->calm);
    struct trial_exchange *exchange = trial_open(run, request);
    exchange->answer_status = 200;
    trial_tell(run, exchange);
    finish(run);
    return exchange;
}

// --- one seed ---

static unsigned cells_of(const struct trial *trial) {
    return (trial->waits ? TRIAL_MOMENTS : TRIAL_MOMENTS - 2) * TRIAL_ACCIDENTS;
}

// Each in its turn.
static void place_of(const struct trial *trial, uint64_t seed, enum trial_moment *moment, enum trial_accident *accident) {
    const unsigned which = (unsigned)((seed - 1) % cells_of(trial));
    *accident = which % TRIAL_ACCIDENTS;
    *moment = which / TRIAL_ACCIDENTS;
    if (!trial->waits && *moment >= WAITING)
        *moment += RESUMING - WAITING + 1;
}

static void begin(struct trial_run *run, const struct trial *trial, uint64_t seed) {
    *run = (struct trial_run){.trial = trial};
    place_of(trial, seed, &run->moment, &run->accident);
    rng_init(&run->rng, seed);
    const struct filter_type *types[6] = {NULL};
    unsigned count = 0;
    if (trial->filter != NULL)
        types[count++] = watch_filter(trial->filter, &run->watched);
    for (unsigned i = 0; i < 4 && trial->with[i] != NULL; i++)
        types[count++] = trial->with[i];
    static const struct filter_type *kept[6]; // by the world
    memcpy(kept, types, sizeof kept);
    loopback_init(&run->world, trial->documents[0], kept);
    task_init(&run->watch, on_watch);
    struct loop *loop = run->world.env.loop;
    loop->wall_ahead = UINT64_C(1800000000) * NS_PER_S - loop->now;
    rng_init(&loop->rng, seed);
    if (trial_below(run, 3) > 0)
        run->world.far.options = (struct fake_options){.seed = seed, .piece_max = 1 + trial_below(run, 3000), .late_max = trial_below(run, 3)};
}

static void end(struct trial_run *run) {
    for (unsigned i = 0; i < run->count; i++)
        client_dispose(&run->exchanges[i].client);
    task_cancel(&run->watch);
    subrequests_cancel_all(&run->world.env);
    loopback_dispose(&run->world);
    if (run->watched.configs != 0 || run->watched.ended != run->watched.count)
        trial_failed(run, NULL, "the filter has not been told of each end");
}

static void run_seed(uint64_t seed, const void *user) {
    static struct trial_run run;
    begin(&run, user, seed);
    warm_up(&run);
    live(&run);
    for (int i = 0; i < 3; i++)
        meanwhile(&run);
    if (run.struck && (run.silent || run.accident == CLIENT_STALLS))
        lose_patience(&run);
    finish(&run);
    trial_model_check(&run);
    if (run.trial->check != NULL)
        run.trial->check(&run);
    if (run.trial->serves_afterwards) {
        trial_pass(&run, 120 * NS_PER_S);
        const struct trial_exchange *last = trial_ask(&run, &run.trial->requests[0]);
        if (last->client.status != 200)
            trial_failed(&run, last, "it is not served although all is well again");
    }
    end(&run);
}

// Where an accident has not come at a boundary, since those requests never got there, others are sent.
static void reach(const struct trial *trial, uint64_t seed, enum trial_moment moment, enum trial_accident accident) {
    for (int again = 0; again < ROUNDS && came[moment][accident] == 0; again++, seed += cells_of(trial))
        seeds_run(trial->name, seed, run_seed, trial);
    if (came[moment][accident] > 0)
        return;
    fprintf(stderr, "%s: accident \"%s\" befell nobody at boundary \"%s\"\n", trial->name, trial_accident_names[accident],
            trial_moment_names[moment]);
    CHECK(false);
}

static void reach_all(const struct trial *trial, uint64_t seeds) {
    for (uint64_t seed = seeds + 1; seed <= seeds + cells_of(trial); seed++) {
        enum trial_moment moment;
        enum trial_accident accident;
        place_of(trial, seed, &moment, &accident);
        if (is_to_come(trial, moment, accident))
            reach(trial, seed, moment, accident);
    }
}

void trial_repeat(const struct trial *trial, uint64_t seeds) {
    memset(came, 0, sizeof came);
    if (trial->prepare != NULL)
        trial->prepare();
    const uint64_t ran = seeds_each(trial->name, seeds, run_seed, trial);
    if (ran >= seeds)
        reach_all(trial, ran);
}
