// What was decided about a request, step by step, told by the code that decides. A stream that somebody asks about has one: stream->explanation, NULL for all others, which
// is the usual case and costs nothing.
//
// Either the request is served as ever, and its steps are told beside; or nobody is served by it (stream_is_asked_about): then all filters are asked, whatever one says, and the
// first that refuses or answers is what decides. Nothing that others share is changed then: a filter's decide looks and tells, takes no slot, starts no timer, draws no lots,
// makes no subrequest and never pauses; charge is not called.
#ifndef STREAM_EXPLANATION_H
#define STREAM_EXPLANATION_H

#include "config/place.h"
#include "stream/stream.h"
#include "stream/verdict.h"

// Of a request that is served: each try takes further ones. What is beyond is counted.
#define EXPLANATION_STEPS_MAX 128
#define EXPLANATION_FIGURES_MAX 32 // of one step

enum step_outcome {
    STEP_PASSED,
    STEP_REFUSED,
    STEP_WOULD_REFUSE, // and lets it pass: the policy is in a dry run
    STEP_WOULD_WAIT,   // or waited, where the request is served
    STEP_ANSWERED,     // by an answer of the filter's own
    STEP_DEPENDS       // on what is not known here
};

// Something that a filter looked at.
struct explanation_figure {
    struct explanation_figure *next;
    struct bytes rule; // of the policy; empty: none
    const char *name;
    bool is_number;
    uint64_t number;
    struct bytes text;
};

// One filter that was asked. All text lies in the stream's pool.
struct explanation_step {
    struct explanation_step *next;
    const struct filter *of; // NULL: what stands behind filters
    const struct filter_run *run;
    bool is_below;       // it is one of an attempt's
    const char *filter;  // its name
    struct bytes policy; // "Kind/namespace/name"; empty: none
    struct bytes file;   // where that stands; empty: nowhere
    uint32_t line;
    bool is_dry_run;
    bool is_closed;
    enum step_outcome outcome;
    struct bytes rule;       // that decided; empty: none
    const char *end;         // REFUSED, WOULD_REFUSE: a name of errors.md
    struct bytes reason;     // in few words; DEPENDS: on what; ANSWERED: by what
    nanoseconds retry_after; // 0: not known
    unsigned status;         // ANSWERED
    struct explanation_figure *figures, *last_figure;
    uint32_t figure_count;
};

struct explanation {
    bool serves_nobody;
    struct explanation_step *first, *last;
    struct explanation_step *asked; // whose filter is asked now; NULL: none
    uint32_t count;
    uint32_t left_out;                    // steps for which there was no room
    struct explanation_step *decisive;    // the first that refused or answered; NULL: none did
    struct bytes rule;                    // that the figures which come are of
    const struct service_config *service; // that the request is for, whatever its routes make of it; NULL: none was found
    bool takes_turn;                      // several backends of its rule have weight, and whose turn it is decides
    bool has_key;                         // where the balancer goes by a key: the request has all of it
    enum error end;                       // what refused it before or behind its filters; OK: nothing did
    struct attempt *attempt;              // where nobody is served: it stands for those that would be made; NULL: none would
};

// In the stream's pool; from now on its steps are told. Before its chain is begun.
void explanation_begin(struct stream *stream, bool serves_nobody);

// ---- for filters, from decide and charge

// Nobody is served: only look and tell.
static inline bool stream_is_asked_about(const struct stream *stream) {
    return __builtin_expect(stream->explanation != NULL, 0) && stream->explanation->serves_nobody;
}

// What follows is said of that rule of the policy. No-ops where nobody asks, as all of these.
void explain_rule(struct stream *stream, struct bytes rule);

// A figure of live state. `name` is a literal, in snake_case and with its unit last. Texts are copied.
void explain_number(struct stream *stream, const char *name, uint64_t number);
void explain_text(struct stream *stream, const char *name, struct bytes text);

// For filters that judge several documents together: the rule of this one lets the request pass.
void explain_decided_by(struct stream *stream, const struct policy *policy, struct bytes rule);

// It cannot be said what the filter would do: "10 of 100 requests are refused by chance", "what the agent says".
void explain_depends(struct stream *stream, struct bytes rule, struct bytes on_what);

// ---- for the chain and verdicts alone

// Around decide. explanation_answer returns what is to be done: where nobody is served the chain goes on.
void explanation_ask(struct stream *stream, const struct filter_run *run, const struct filter *filter);
enum filter_result explanation_answer(struct stream *stream, struct filter_run *run, enum filter_result result);

// By a document in a dry run would pass what is refused.
void explain_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule);

// A verdict of the filter of `run` that is asked, which may be one that is charged for; and that one above attempts makes the request wait.
void explanation_refused(struct stream *stream, const struct filter_run *run, const struct verdict *verdict);
// The same of an attempt behind its filters, where it picks an endpoint.
void explanation_refused_at_pick(struct stream *stream, const struct filter_run *run, const struct policy *policy, const struct verdict *verdict);
void explanation_delayed(struct stream *stream, const struct filter *filter, struct bytes rule);

#endif
