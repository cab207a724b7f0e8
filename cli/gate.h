// What --fail-on and --baseline do: which snapshot a growth is measured against, judging the rules,
// and saying so.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/source.h"
#include "db/gate_check.h"

namespace residue {

// The snapshots that --baseline names, or that stand in for it.
class Baselines {
 public:
  struct Choice {
    GateSide side;
    std::string text;  // "snapshot 3 ('monday'), the newest earlier one of the same process"
  };

  // `home` is the database in which a SNAPSHOT is looked for, null if there is none; `kept`:
  // whether it stays, so that earlier snapshots are in it. Opens what --baseline names; a dump is
  // analysed. Fails with kUsage or kNotFound if there is no such thing, or if a rule needs
  // something to compare with and nothing ever could be. Needs nothing, and costs nothing, if
  // nobody asks for it.
  static Result<Baselines> make(const Options& options, Database* home, bool kept, Streams streams);

  // What to compare `current` with: --baseline, else the newest earlier snapshot of the same
  // database that is of the same process, else of an executable of the same path, else of the same
  // name. Nothing if there is none yet.
  // Nothing, too, if no rule needs it and --baseline was not given, or if `current` is in no
  // database that stays.
  Result<std::optional<Choice>> of(const std::optional<GateSide>& current) const;

  // Whether --baseline was given.
  bool is_given() const { return given_.has_value(); }

 private:
  std::unique_ptr<Source> opened_;
  std::optional<Choice> given_;
  bool wanted_ = false;
};

// What of a dump the rules and the formats of reports look at, beside its leaks.
Wanted wanted_by_gates(const Options& options);

// One rule, judged over one dump.
struct JudgedRule {
  GateVerdict verdict;
  std::optional<Error> error;  // why it could not be judged; the verdict then says nothing

  bool breached() const { return !error && verdict.state == GateVerdict::State::kBreached; }
};

struct Judgement {
  std::vector<JudgedRule> rules;  // those of the options, in their order
  int exit_code = kExitDone;      // kExitBreached, or that of an error
};

// Judges all rules, and says on `err` which are breached ("residue: gate breached: RULE (found
// VALUE: KEY)"), which make no sense here, and which had to wait for a baseline; unless --quiet
// also what was compared with, if it is `choice` and not the user's. `source` names the dump in
// these lines; of breaches only if it is `one_of_many`.
Judgement judge_gates(const Options& options, const GateInput& input,
                      const Baselines::Choice* choice, std::string_view source, bool one_of_many,
                      std::ostream& err);

}  // namespace residue
