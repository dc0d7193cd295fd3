// What the tables of trials share: documents around a policy, and tokens.
#ifndef TESTS_FILTERS_TRIAL_ROWS_H
#define TESTS_FILTERS_TRIAL_ROWS_H

#include "filters/registry.h"

#include "support/trial.h"
#include "unit/stream/stream_drive.h"

#define ROWS(table) .requests = (table), .request_count = sizeof(table) / sizeof((table)[0])

// The inbound listener stands before the application of service `a`, the outbound one leads to it.
#define TRIAL_BESIDE                                                                                                           \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: a\n"                                                                                                       \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n" SERVICE("HTTP2", ONE)
#define OF_A(kind, name, more) API "kind: " kind "\nmetadata: {name: " name "}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" more "---\n"

#define PASSES_ALWAYS \
    { TRIAL_PASSES, TRIAL_PASSES, TRIAL_PASSES }
#define UNLESS_REMOVED(fate) \
    { fate, fate, TRIAL_PASSES }

// Runs the rows of a table, each as a test of its name.
#define TRIALS_MAX 16
#define SEEDS_EACH 1000

static inline void run_trial(void **state) {
    const struct trial *const *trial = *state;
    trial_repeat(*trial, SEEDS_EACH);
}

static inline int run_trials(const struct trial *trials, size_t count) {
    static const struct trial *rows[TRIALS_MAX];
    struct CMUnitTest tests[TRIALS_MAX];
    CHECK(count <= TRIALS_MAX);
    for (size_t i = 0; i < count; i++) {
        rows[i] = &trials[i];
        tests[i] = (struct CMUnitTest){.name = trials[i].name, .test_func = run_trial, .initial_state = &rows[i]};
    }
    return _cmocka_run_group_tests("trials", tests, count, NULL, NULL);
}

#endif
