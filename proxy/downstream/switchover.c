// The slices of a switch from one snapshot to the next. See switchover.h.
#include "downstream/switchover.h"

#include "base/check.h"

// A destination that is bound: a look-up of its cluster.
#define BIND_COST 2

static void set_phase(struct switchover *switchover, enum switchover_phase phase) {
    CHECK(phase == switchover->phase + 1 || (phase == SWITCHOVER_NONE && switchover->phase == SWITCHOVER_DROP));
    switchover->phase = phase;
}

static void switch_to(struct switchover *switchover) {
    struct bound_snapshot *bound = switchover->fresh;
    switchover->fresh = NULL;
    downstream_apply(switchover->downstream, bound);
    switchover->switched(switchover->user, bound);
}

// One step of the phase at hand, and what it cost.
static uint32_t step(struct switchover *switchover) {
    uint32_t cost = BIND_COST;
    switch (switchover->phase) {
    case SWITCHOVER_CLUSTERS:
        if (upstream_change_next(&switchover->change, &cost))
            break;
        switchover->fresh = bound_create(switchover->change.upstream, switchover->chains);
        switchover->chains = NULL;
        set_phase(switchover, SWITCHOVER_BIND);
        break;
    case SWITCHOVER_BIND:
        if (!bound_next(switchover->fresh))
            set_phase(switchover, SWITCHOVER_SWITCH);
        break;
    case SWITCHOVER_SWITCH:
        switch_to(switchover);
        set_phase(switchover, SWITCHOVER_DROP);
        break;
    case SWITCHOVER_DROP:
        if (!upstream_change_drop_next(&switchover->change, &cost))
            set_phase(switchover, SWITCHOVER_NONE);
        break;
    case SWITCHOVER_NONE:
        CHECK(false); // it is under way
    }
    return cost;
}

// At least one step, however much it costs.
static void run(struct switchover *switchover, uint64_t most) {
    uint64_t work = 0;
    while (switchover_is_under_way(switchover) && work < most)
        work += step(switchover);
    if (switchover_is_under_way(switchover))
        loop_wake(switchover->downstream->env->loop, &switchover->task);
    else
        switchover->settled(switchover->user);
}

static void run_slice(struct task *task) {
    run(CONTAINER_OF(task, struct switchover, task), SWITCHOVER_SLICE);
}

void switchover_init(struct switchover *switchover, struct downstream *downstream, void (*switched)(void *user, struct bound_snapshot *bound),
                     void (*settled)(void *user), void *user) {
    *switchover = (struct switchover){.downstream = downstream, .switched = switched, .settled = settled, .user = user};
    task_init(&switchover->task, run_slice);
}

void switchover_begin(struct switchover *switchover, struct chain_set *chains) {
    struct stream_env *env = switchover->downstream->env;
    switchover->chains = chains;
    upstream_change_begin(&switchover->change, env->upstream, chains->snapshot);
    set_phase(switchover, SWITCHOVER_CLUSTERS);
    loop_wake(env->loop, &switchover->task);
}

void switchover_finish(struct switchover *switchover) {
    if (!switchover_is_under_way(switchover))
        return;
    task_cancel(&switchover->task);
    run(switchover, UINT64_MAX);
}
