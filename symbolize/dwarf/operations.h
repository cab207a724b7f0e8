// Operations of DWARF expressions: numbers and names.
//
// DWARF 2-5 (section 7.7.1 of each) and the GNU extensions of binutils' include/dwarf2.def. Later
// numbers of other vendors (WebAssembly, AMD, Apple) are not interpreted.
#pragma once

#include <cstdint>
#include <string>

namespace residue::dwarf {

enum Operation : uint8_t {
  kOpAddr = 0x03,
  kOpDeref = 0x06,
  kOpConst1u = 0x08,
  kOpConst1s = 0x09,
  kOpConst2u = 0x0a,
  kOpConst2s = 0x0b,
  kOpConst4u = 0x0c,
  kOpConst4s = 0x0d,
  kOpConst8u = 0x0e,
  kOpConst8s = 0x0f,
  kOpConstu = 0x10,
  kOpConsts = 0x11,
  kOpDup = 0x12,
  kOpDrop = 0x13,
  kOpOver = 0x14,
  kOpPick = 0x15,
  kOpSwap = 0x16,
  kOpRot = 0x17,
  kOpXderef = 0x18,
  kOpAbs = 0x19,
  kOpAnd = 0x1a,
  kOpDiv = 0x1b,
  kOpMinus = 0x1c,
  kOpMod = 0x1d,
  kOpMul = 0x1e,
  kOpNeg = 0x1f,
  kOpNot = 0x20,
  kOpOr = 0x21,
  kOpPlus = 0x22,
  kOpPlusUconst = 0x23,
  kOpShl = 0x24,
  kOpShr = 0x25,
  kOpShra = 0x26,
  kOpXor = 0x27,
  kOpBra = 0x28,
  kOpEq = 0x29,
  kOpGe = 0x2a,
  kOpGt = 0x2b,
  kOpLe = 0x2c,
  kOpLt = 0x2d,
  kOpNe = 0x2e,
  kOpSkip = 0x2f,
  kOpLit0 = 0x30,
  kOpLit31 = 0x4f,
  kOpReg0 = 0x50,
  kOpReg31 = 0x6f,
  kOpBreg0 = 0x70,
  kOpBreg31 = 0x8f,
  kOpRegx = 0x90,
  kOpFbreg = 0x91,
  kOpBregx = 0x92,
  kOpPiece = 0x93,
  kOpDerefSize = 0x94,
  kOpXderefSize = 0x95,
  kOpNop = 0x96,
  // DWARF 3
  kOpPushObjectAddress = 0x97,
  kOpCall2 = 0x98,
  kOpCall4 = 0x99,
  kOpCallRef = 0x9a,
  kOpFormTlsAddress = 0x9b,
  kOpCallFrameCfa = 0x9c,
  kOpBitPiece = 0x9d,
  // DWARF 4
  kOpImplicitValue = 0x9e,
  kOpStackValue = 0x9f,
  // DWARF 5
  kOpImplicitPointer = 0xa0,
  kOpAddrx = 0xa1,
  kOpConstx = 0xa2,
  kOpEntryValue = 0xa3,
  kOpConstType = 0xa4,
  kOpRegvalType = 0xa5,
  kOpDerefType = 0xa6,
  kOpXderefType = 0xa7,
  kOpConvert = 0xa8,
  kOpReinterpret = 0xa9,
  // GNU
  kOpGnuPushTlsAddress = 0xe0,
  kOpGnuUninit = 0xf0,
  kOpGnuEncodedAddr = 0xf1,
  kOpGnuImplicitPointer = 0xf2,
  kOpGnuEntryValue = 0xf3,
  kOpGnuConstType = 0xf4,
  kOpGnuRegvalType = 0xf5,
  kOpGnuDerefType = 0xf6,
  kOpGnuConvert = 0xf7,
  kOpGnuReinterpret = 0xf9,
  kOpGnuParameterRef = 0xfa,
  kOpGnuAddrIndex = 0xfb,
  kOpGnuConstIndex = 0xfc,
  kOpGnuVariableValue = 0xfd,
};

// "DW_OP_plus_uconst"; "operation 0xed" for one that has no name here.
std::string operation_name(uint8_t operation);

}  // namespace residue::dwarf
