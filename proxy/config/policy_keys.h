// By which keys the rules of a policy tell requests apart: for whoever logs, warns of or replays them. One switch over all kinds, so that whoever adds one cannot forget it.
#ifndef CONFIG_POLICY_KEYS_H
#define CONFIG_POLICY_KEYS_H

#include "config/policy.h"
#include "config/request_key.h"

struct policy_key {
    struct bytes rule; // whose it is
    const struct request_key *key;
};

// The key of the rule of that number; it may have no parts. False: there are not so many.
bool policy_key_at(const struct policy *policy, uint32_t number, struct policy_key *key);

#endif
