#include "symbolize/dwarf/operations.h"

#include "formats/base/text.h"

namespace residue::dwarf {
namespace {

struct Name {
  Operation operation;
  const char* text;
};

constexpr Name kNames[] = {
    {kOpAddr, "DW_OP_addr"},
    {kOpDeref, "DW_OP_deref"},
    {kOpConst1u, "DW_OP_const1u"},
    {kOpConst1s, "DW_OP_const1s"},
    {kOpConst2u, "DW_OP_const2u"},
    {kOpConst2s, "DW_OP_const2s"},
    {kOpConst4u, "DW_OP_const4u"},
    {kOpConst4s, "DW_OP_const4s"},
    {kOpConst8u, "DW_OP_const8u"},
    {kOpConst8s, "DW_OP_const8s"},
    {kOpConstu, "DW_OP_constu"},
    {kOpConsts, "DW_OP_consts"},
    {kOpDup, "DW_OP_dup"},
    {kOpDrop, "DW_OP_drop"},
    {kOpOver, "DW_OP_over"},
    {kOpPick, "DW_OP_pick"},
    {kOpSwap, "DW_OP_swap"},
    {kOpRot, "DW_OP_rot"},
    {kOpXderef, "DW_OP_xderef"},
    {kOpAbs, "DW_OP_abs"},
    {kOpAnd, "DW_OP_and"},
    {kOpDiv, "DW_OP_div"},
    {kOpMinus, "DW_OP_minus"},
    {kOpMod, "DW_OP_mod"},
    {kOpMul, "DW_OP_mul"},
    {kOpNeg, "DW_OP_neg"},
    {kOpNot, "DW_OP_not"},
    {kOpOr, "DW_OP_or"},
    {kOpPlus, "DW_OP_plus"},
    {kOpPlusUconst, "DW_OP_plus_uconst"},
    {kOpShl, "DW_OP_shl"},
    {kOpShr, "DW_OP_shr"},
    {kOpShra, "DW_OP_shra"},
    {kOpXor, "DW_OP_xor"},
    {kOpBra, "DW_OP_bra"},
    {kOpEq, "DW_OP_eq"},
    {kOpGe, "DW_OP_ge"},
    {kOpGt, "DW_OP_gt"},
    {kOpLe, "DW_OP_le"},
    {kOpLt, "DW_OP_lt"},
    {kOpNe, "DW_OP_ne"},
    {kOpSkip, "DW_OP_skip"},
    {kOpRegx, "DW_OP_regx"},
    {kOpFbreg, "DW_OP_fbreg"},
    {kOpBregx, "DW_OP_bregx"},
    {kOpPiece, "DW_OP_piece"},
    {kOpDerefSize, "DW_OP_deref_size"},
    {kOpXderefSize, "DW_OP_xderef_size"},
    {kOpNop, "DW_OP_nop"},
    {kOpPushObjectAddress, "DW_OP_push_object_address"},
    {kOpCall2, "DW_OP_call2"},
    {kOpCall4, "DW_OP_call4"},
    {kOpCallRef, "DW_OP_call_ref"},
    {kOpFormTlsAddress, "DW_OP_form_tls_address"},
    {kOpCallFrameCfa, "DW_OP_call_frame_cfa"},
    {kOpBitPiece, "DW_OP_bit_piece"},
    {kOpImplicitValue, "DW_OP_implicit_value"},
    {kOpStackValue, "DW_OP_stack_value"},
    {kOpImplicitPointer, "DW_OP_implicit_pointer"},
    {kOpAddrx, "DW_OP_addrx"},
    {kOpConstx, "DW_OP_constx"},
    {kOpEntryValue, "DW_OP_entry_value"},
    {kOpConstType, "DW_OP_const_type"},
    {kOpRegvalType, "DW_OP_regval_type"},
    {kOpDerefType, "DW_OP_deref_type"},
    {kOpXderefType, "DW_OP_xderef_type"},
    {kOpConvert, "DW_OP_convert"},
    {kOpReinterpret, "DW_OP_reinterpret"},
    {kOpGnuPushTlsAddress, "DW_OP_GNU_push_tls_address"},
    {kOpGnuUninit, "DW_OP_GNU_uninit"},
    {kOpGnuEncodedAddr, "DW_OP_GNU_encoded_addr"},
    {kOpGnuImplicitPointer, "DW_OP_GNU_implicit_pointer"},
    {kOpGnuEntryValue, "DW_OP_GNU_entry_value"},
    {kOpGnuConstType, "DW_OP_GNU_const_type"},
    {kOpGnuRegvalType, "DW_OP_GNU_regval_type"},
    {kOpGnuDerefType, "DW_OP_GNU_deref_type"},
    {kOpGnuConvert, "DW_OP_GNU_convert"},
    {kOpGnuReinterpret, "DW_OP_GNU_reinterpret"},
    {kOpGnuParameterRef, "DW_OP_GNU_parameter_ref"},
    {kOpGnuAddrIndex, "DW_OP_GNU_addr_index"},
    {kOpGnuConstIndex, "DW_OP_GNU_const_index"},
    {kOpGnuVariableValue, "DW_OP_GNU_variable_value"},
};

}  // namespace

std::string operation_name(uint8_t operation) {
  for (const Name& name : kNames) {
    if (name.operation == operation) return name.text;
  }
  const auto numbered = [&](const char* family, uint8_t first) {
    return std::string(family).append(std::to_string(operation - first));
  };
  if (operation >= kOpLit0 && operation <= kOpLit31) return numbered("DW_OP_lit", kOpLit0);
  if (operation >= kOpReg0 && operation <= kOpReg31) return numbered("DW_OP_reg", kOpReg0);
  if (operation >= kOpBreg0 && operation <= kOpBreg31) return numbered("DW_OP_breg", kOpBreg0);
  return std::string("operation ").append(hex(operation));
}

}  // namespace residue::dwarf
