// What can be wrong between documents: names that stand twice, references to what is not there, hosts that two services claim.
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/document.h"

// Tells all errors. `*proxy` is the first Proxy; NULL where there is none (then there is an error). `first_path` is where a missing one is looked for.
void config_check(struct loading *loading, const char *first_path, const struct document **proxy);

#endif
