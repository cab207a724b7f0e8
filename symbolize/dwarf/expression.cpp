#include "symbolize/dwarf/expression.h"

#include "symbolize/dwarf/expression_machine.h"

namespace residue {
namespace {

Result<void> prepare(dwarf::ExpressionMachine& machine, std::span<const std::byte> expression,
                     const ExpressionFormat& format, std::optional<uint64_t> initial) {
  const unsigned width = format.address_size;
  if (width != 1 && width != 2 && width != 4 && width != 8) {
    return Error{ErrorCode::kUnsupported,
                 std::string("addresses of ").append(std::to_string(width)).append(" bytes"),
                 std::nullopt};
  }
  if (initial) RESIDUE_TRY(machine.push(*initial));
  return machine.run(expression);
}

}  // namespace

Result<std::vector<LocationPiece>> evaluate_location(std::span<const std::byte> expression,
                                                     const ExpressionFormat& format,
                                                     const ExpressionContext& context,
                                                     std::optional<uint64_t> initial) {
  if (expression.empty()) return std::vector<LocationPiece>{LocationPiece{}};
  dwarf::ExpressionMachine machine(format, context);
  RESIDUE_TRY(prepare(machine, expression, format, initial));
  return std::move(machine).location();
}

Result<uint64_t> evaluate_value(std::span<const std::byte> expression,
                                const ExpressionFormat& format, const ExpressionContext& context,
                                std::optional<uint64_t> initial) {
  dwarf::ExpressionMachine machine(format, context);
  RESIDUE_TRY(prepare(machine, expression, format, initial));
  return machine.value();
}

}  // namespace residue
