// The figures that admin pages show, part by part: what figures.c puts together. All run on the main thread; texts are borrowed from their owners there, so that each
// part is filled in within the call that sends the reply.
#ifndef APP_FIGURES_H
#define APP_FIGURES_H

#include "app/proxy.h"

// figures_identity.c: the certificates of this proxy and the roots that it trusts.
void figures_fill_identity(const struct proxy *proxy, struct pool *pool, struct admin_identity *figures);

#endif
