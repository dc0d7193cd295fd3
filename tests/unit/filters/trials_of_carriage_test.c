// The filters that say how a request is carried, and attempts, each alone under every accident at every boundary (support/trial.h).
#include "unit/filters/trial_rows_carriage.h"

int main(void) {
    return run_trials(carriage_trials, sizeof carriage_trials / sizeof carriage_trials[0]);
}
