// A filter of the chain: what a request passes through between its route and its attempts, and the response on its way back.
//
// A filter has two structs: its config, immutable, in the chain of a service; and its state, one for each stream, zeroed at the start. What it remembers from request to request
// is a policy_state, which its config points to.
//
// What it refuses by a policy, it refuses by verdict_refuse (verdict.h). That is how `mode: DryRun` works for all of them: of a policy in a dry run decide and charge are called
// alone, with end, a verdict is counted and told, and the request goes on; it does not wait either. response_head it is shown a copy of.
//
// A filter touches no connection and no other filter, waits by timers or subrequests that it cancels in `end`, and decides from config, state, request and the time in env->loop->now alone.
#ifndef STREAM_FILTER_H
#define STREAM_FILTER_H

#include "base/error.h"
#include "base/pool.h"
#include "config/policy.h"
#include "config/snapshot.h"
#include "http/message.h"
#include "upstream/policy_state.h"

#include <stdbool.h>
#include <stddef.h>

struct attempt;
struct buffer;
struct stream;

enum filter_result {
    FILTER_CONTINUE, // the next one
    FILTER_PAUSE,    // the filter wakes the stream when it can go on, and is then asked again
    FILTER_REPLIED   // it called stream_fail, or stream_reply: nothing below runs, and the reply walks back through the filters before this one
};

// vtable: 8 slots, each may be NULL. Called from stream_advance only.
//
// A WebSocket is a GET whose head has `protocol`, whatever it came over. Its request has no body, so request_data does not come; a 101 comes to response_head as the final head. What
// goes through the tunnel behind it is neither request nor response: no slot but `end` sees it, so a filter that must read bodies must refuse the upgrade in decide. One that holds
// something for the time of a request gives it back at the 101 or keeps it to `end`.
//
// A filter below attempts has a state for each attempt, whose first member is a `struct attempt *`: it stands there before the first call. It has decide, charge,
// attempt_head and end alone, since bodies and the answer are the stream's. What it refuses, it refuses by attempt_refuse, or a
// policy by verdict_refuse_attempt: that ends the attempt, which is not repeated, and the stream only where no other attempt runs. `end` comes once for each attempt;
// attempt->error says how it ended.
struct filter_ops {
    // May the request pass? Head complete, in the order of the chain. Changes nothing that others share. Again after each PAUSE.
    enum filter_result (*decide)(struct stream *stream, const void *config, void *state);

    // All have decided to let it pass, or one behind has an answer for it, or is about to let it wait (`queues`): take what it costs. What is refused behind is given back by
    // whoever took it, in `response_head` or `end`, while !filters.passed. CONTINUE, or REPLIED where live state has changed since, or where decide has left it to this
    // (filter_may_leave_to_charge).
    enum filter_result (*charge)(struct stream *stream, const void *config, void *state);

    // A piece of the request's body is about to go up. May change the buffer. `end`: the last. Each piece comes once, whatever is repeated toward upstream;
    // after PAUSE the same piece again, to this filter and not to those before it. REPLIED by stream_fail only.
    enum filter_result (*request_data)(struct stream *stream, const void *config, void *state, struct buffer *body, bool end);

    // Each attempt's own copy of the head, before it is sent, from the first filter to the last below attempts: for what differs by attempt (the time that is left).
    void (*attempt_head)(struct stream *stream, const void *config, void *state, struct head *head, struct pool *pool);

    // The response's head, from the filter nearest to upstream back to the first. May change it. After PAUSE the same head again, to this filter and not to those
    // behind it; REPLIED takes another reply in the place of what upstream, or a filter below, answered. Then stream->end is OK. Where it is not, the head is that
    // of an error of errors.md, which goes down at once: CONTINUE only.
    //
    // What a filter replies is seen by the filters before it; where none did (upstream failed, time ran out), an error by all that had let the request pass.
    enum filter_result (*response_head)(struct stream *stream, const void *config, void *state, struct head *head);

    // A piece of what upstream, or a filter below, answers is about to go down. Each comes once, as above. REPLIED cuts the response, whose head is out. (The few words
    // of an error do not come here.)
    enum filter_result (*response_data)(struct stream *stream, const void *config, void *state, struct buffer *body, bool end);

    // The stream is over: exactly once for each filter whose decide was called. Stops timers, gives back what was taken. stream->end says how it ended.
    void (*end)(struct stream *stream, const void *config, void *state);

    // The config is no longer used by any stream. For what configure took beside memory of the pool. Once, on the thread of whoever was last.
    void (*dispose)(const void *config);
};

enum filter_role { FILTER_INBOUND, FILTER_OUTBOUND };

// Once for the stream, or once for each attempt.
enum filter_place { FILTER_ABOVE_ATTEMPTS, FILTER_BELOW_ATTEMPTS };

// For what a filter is configured.
struct filter_scope {
    const struct destination *destination;
    enum filter_role role;
    const struct policy *policy;     // one document, of the filter's kind; NULL: the filter has no such kind
    struct policy_state_set *states; // where that document's live state is: of a dry run, the shadows
    const struct policy_states *all; // both sets: for one that judges all documents of a kind together, which it finds in the destination
};

struct filter_type {
    const char *name;
    size_t state_size;
    // The additive kind of policy that it carries out: it then stands in a chain once for each document that acts there. POLICY_NONE: it stands there once. So does one that judges all
    // documents of a kind together; it says in each verdict whose that is, and sees to dry runs itself.
    enum policy_kind policy;
    // Its `end` does not read the config, which then may be NULL: that of a stream which has outlived its snapshot (keepsake.h). Without this, and with response_data, a
    // stream keeps all documents that it began with to its end; so does one whose request a filter still reads. What goes into a head is a copy: heads outlive documents.
    bool ends_without_config;
    // Its decide may take a place that others wait for, which is not for what a filter before it is going to refuse: those are charged before it is asked. Above attempts only.
    bool queues;
    // What it decides hangs on what is told it about a request from elsewhere (a token, an agent): it would refuse all where nobody testifies, so what replays the requests of a log leaves it out.
    bool needs_testimony;
    // The config of this filter, in `pool`; NULL: the filter has nothing to do there and is left out of the chain. On the main thread; all workers
    // then read it. It may point into scope->destination and what that points to.
    const void *(*configure)(const struct filter_scope *scope, struct pool *pool);
    struct filter_ops ops;
};

struct filter {
    const struct filter_type *type;
    const void *config;
    size_t state_offset;         // in the block of states of a stream or an attempt
    const struct policy *policy; // as in its scope; NULL once its stream has outlived the documents
    bool is_dry_run;             // what it refuses passes
    // By chain_link. Most filters have few slots, and most slots few filters: walks go from one that has the slot to the next.
    uint32_t charge_from, attempt_head_from;    // the first from this one on that has the slot; the chain's count: none
    uint32_t response_head_before, ends_before; // one more than the last up to this one that has it; 0: none
    bool is_charged_alone;                      // between its decide and its charge nobody else is asked, and nobody else is charged
};

// The filters of one destination in one role and place, in order. Immutable.
struct chain {
    uint32_t count;
    size_t states_size;
    bool has_request_data;
    bool has_response_data;
    struct filter filters[];
};

// Once the filters stand in the chain: what its walks pass over.
void chain_link(struct chain *chain);

// In decide: whether this filter's charge comes at once, nobody else is asked or charged before it, and nobody wants to know why. Then it need not look at what charge is about to
// see: a request that charge refuses has taken nothing from anybody.
bool filter_may_leave_to_charge(const struct stream *stream);

// Where a stream, or an attempt, stands in its chain.
struct filter_run {
    const struct chain *chain; // NULL: it has not begun
    struct attempt *attempt;   // whose run it is; NULL: the stream's
    char *states;
    uint32_t begun;             // filters whose decide was called
    uint32_t decided;           // filters that let it pass
    uint32_t charged;           // and have been paid
    uint32_t behind_answer;     // filters that the answer is to walk back through
    uint32_t head_passed;       // and how many of them have let its head pass
    uint32_t request_passed;    // filters that the piece of the request's body in hand has passed
    uint32_t response_passed;   // and of the response's
    const struct filter *asked; // whose decide or charge is called, or was called last
    bool passed;                // all have let it pass, and have been paid
    bool ended;
};

// For configure: what the policy of `scope` remembers for one of its rules (policy_state_get). Released by dispose, or by policy_states_release.
struct policy_state *filter_state_get(const struct filter_scope *scope, struct bytes rule, uint64_t form, const struct policy_state_type *type,
                                      const void *config);

// Builds the chain of `destination` from the registered types (`types` ends with NULL), in the order of chain_order.c. In `pool`. `states`: NULL where no type has a kind of policy.
const struct chain *chain_build(const struct filter_type *const *types, const struct destination *destination, enum filter_role role,
                                enum filter_place place, const struct policy_states *states, struct pool *pool);

// `attempt`: whose run it is; NULL: the stream's. States are in `pool`.
void chain_begin(struct filter_run *run, const struct chain *chain, struct attempt *attempt, struct pool *pool);

// Runs decide, then charge, from where the run stands.
enum filter_result chain_advance(struct stream *stream, struct filter_run *run);

void chain_attempt_head(struct stream *stream, struct filter_run *run, struct head *head, struct pool *pool);

// What upstream or a filter answers walks back. PAUSE: as below, with the same head. REPLIED: to be called again with the head of that filter's answer.
enum filter_result chain_response_head(struct stream *stream, struct head *head);

// The head of an error, by those before where it was made.
void chain_reply_head(struct stream *stream, struct head *head);

// PAUSE: not now, the filter wakes the stream; to be called again with the same `body` and `end`.
enum filter_result chain_request_data(struct stream *stream, struct buffer *body, bool end);
enum filter_result chain_response_data(struct stream *stream, struct buffer *body, bool end);

// Of one run. Harmless before chain_begin.
void chain_end(struct stream *stream, struct filter_run *run);

// The position of a filter by its name, role and place; lower runs earlier; -1: it has none there.
int chain_order(const char *name, enum filter_role role, enum filter_place place);

#endif
