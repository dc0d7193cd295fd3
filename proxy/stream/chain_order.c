// The order of the chain, in one place, with the reason for each.
#include "stream/filter.h"

#include <string.h>

static const char *const outbound[] = {
    "cors",                   // before all others: a page may read what they answer too, and a preflight asks for none of it
    "deadline",               // all that follows runs inside the request's time, waiting too
    "authorization",          // of a gateway, and of services that no proxy of ours stands beside: who may not ask costs nobody anything
    "rate_limit",             // the same: before whatever is done for the request
    "authentication",         // the same: a signature costs more than a limit does
    "authorization_claims",   // who may not ask by what the token says uses up no limit either
    "external_authorization", // an agent is asked about what rules let pass, since that costs more
    "authorization_agents",   // rules by headers that an agent makes
    "rate_limit_claims",      // limits by what a token or an agent says, or by headers that are made of it
    "redirect",               // what is not for any backend here costs nothing further
    "rewrite",                // changes only what is sent: behind all that decides by the request as it came
    "header_modifier",        // the same; behind rewrite, so that it sees what the backend will get
    "fault",                  // what goes wrong on purpose goes wrong for this request as it will be sent, and is not copied
    "bulkhead", // of callers and gateways: holds a slot from here on, over all tries, and not for what is redirected or fails on purpose
    "mirror",   // behind all that could keep the request from its backend: what that does not get is not copied
};

static const char *const inbound[] = {
    "deadline",               // as outbound: work whose caller has given up is not begun
    "authorization",          // who may not ask uses up no limit of those who may
    "rate_limit",             // what is too much costs the application nothing
    "authentication",         // a signature costs more than a limit does; what stands behind may go by claims
    "authorization_claims",   // who may not ask by what the token says uses up no limit either
    "external_authorization", // an agent is asked about what rules let pass, since that costs more
    "authorization_agents",   // rules by headers that an agent makes
    "rate_limit_claims",      // limits by what a token or an agent says, or by headers that are made of it
    "bulkhead",               // last: who waits here has passed all else, and a slot is held for the application's time alone
};

// Below attempts, in either role.
static const char *const each_attempt[] = {
    "breaker",      // the last to decide: an attempt that another filter refuses is none of its service's
    "try_deadline", // writes into the head of an attempt what time is left when it goes
};

static int position_in(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

int chain_order(const char *name, enum filter_role role, enum filter_place place) {
    if (place == FILTER_BELOW_ATTEMPTS)
        return position_in(each_attempt, sizeof each_attempt / sizeof each_attempt[0], name);
    return role == FILTER_OUTBOUND ? position_in(outbound, sizeof outbound / sizeof outbound[0], name)
                                   : position_in(inbound, sizeof inbound / sizeof inbound[0], name);
}
