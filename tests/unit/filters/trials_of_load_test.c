// The filters that bound what a service gets, each alone under every accident at every boundary (support/trial.h).
#include "unit/filters/trial_rows_load.h"

int main(void) {
    return run_trials(load_trials, sizeof load_trials / sizeof load_trials[0]);
}
