// The filters that say who may ask, each alone under every accident at every boundary (support/trial.h).
#include "unit/filters/trial_rows_access.h"

int main(void) {
    return run_trials(access_trials, sizeof access_trials / sizeof access_trials[0]);
}
