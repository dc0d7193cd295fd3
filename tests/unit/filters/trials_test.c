// Nobody is left out: each filter of the chain stands in a table of trials, and so do attempts. The trials themselves run in trials_of_..._test.c.
#include "unit/filters/trial_rows_carriage.h"
#include "unit/filters/trial_rows_load.h"

static const struct {
    const struct trial *rows;
    size_t count;
} tables[] = {
    {access_trials, sizeof access_trials / sizeof access_trials[0]},
    {load_trials, sizeof load_trials / sizeof load_trials[0]},
    {carriage_trials, sizeof carriage_trials / sizeof carriage_trials[0]},
};

static unsigned rows_of(const struct filter_type *filter) {
    unsigned rows = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (size_t k = 0; k < tables[i].count; k++)
            rows += tables[i].rows[k].filter == filter;
    return rows;
}

static bool has_row_without_filter(const char *name) {
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (size_t k = 0; k < tables[i].count; k++)
            if (tables[i].rows[k].filter == NULL && strcmp(tables[i].rows[k].name, name) == 0)
                return true;
    return false;
}

static void each_filter_has_a_row(void **state) {
    (void)state;
    for (size_t i = 0; filter_types[i] != NULL; i++)
        if (rows_of(filter_types[i]) == 0)
            fail_msg("filter %s stands in no table of trials (docs/writing-a-filter.md)", filter_types[i]->name);
}

// The breaker of an endpoint, retries, hedges.
static void so_does_what_is_no_filter(void **state) {
    (void)state;
    static const char *const names[] = {"breaker of an endpoint", "attempts: repeated", "attempts: hedged"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!has_row_without_filter(names[i]))
            fail_msg("\"%s\" stands in no table of trials", names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_filter_has_a_row),
        cmocka_unit_test(so_does_what_is_no_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
