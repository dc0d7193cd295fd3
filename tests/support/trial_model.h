// What must hold of a trial once all is over, whatever the filter.
#ifndef SUPPORT_TRIAL_MODEL_H
#define SUPPORT_TRIAL_MODEL_H

#include "support/trial.h"

extern const char *const trial_accident_names[TRIAL_ACCIDENTS];
extern const char *const trial_moment_names[TRIAL_MOMENTS];

void trial_model_check(struct trial_run *run);

#endif
