// What a simulation could not tell, or only in part, since the log does not say it.
#ifndef CLI_SIMULATION_NOTES_H
#define CLI_SIMULATION_NOTES_H

#include "cli/simulation_report.h"
#include "config/snapshot.h"

// After the simulation. `has_host`: requests without a host were given one.
void simulation_note(struct simulation_report *report, const struct log *log, const struct snapshot *snapshot, bool has_host);

#endif
