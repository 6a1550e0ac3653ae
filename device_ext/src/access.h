// Reaches the protected parts of aihwkit's stock classes that seeding and state need.
//
// A pointer to a protected member may be formed inside a derived class and then applied to any
// object of the base: legal C++, no friend and no patch needed.
#pragma once

#include "rpu_buffered_transfer_device.h"
#include "rpu_dynamic_transfer_device.h"
#include "rpu_mixedprec_device.h"
#include "rpu_onesided_device.h"
#include "rpu_pulsed.h"
#include "rpu_pulsed_device.h"
#include "rpu_transfer_device.h"
#include "rpu_vector_device.h"

namespace warmtile::access {

struct Tile : RPU::RPUPulsed<float> {
  static RPU::RealWorldRNG<float> &rwRng(RPU::RPUPulsed<float> &t) { return *(t.*(&Tile::rw_rng_)); }
  static RPU::AbstractRPUDevice<float> &device(RPU::RPUPulsed<float> &t) {
    return *(t.*(&Tile::rpu_device_));
  }
};

struct Pulsed : RPU::PulsedRPUDevice<float> {
  static RPU::RealWorldRNG<float> &writeNoiseRng(RPU::PulsedRPUDevice<float> &d) {
    return d.*(&Pulsed::write_noise_rng_);
  }
};

struct Vector : RPU::VectorRPUDevice<float> {
  static RPU::RealWorldRNG<float> &rwRng(RPU::VectorRPUDevice<float> &d) {
    return d.*(&Vector::rw_rng_);
  }
  static int nDevices(RPU::VectorRPUDevice<float> &d) { return d.*(&Vector::n_devices_); }
};

struct Transfer : RPU::TransferRPUDevice<float> {
  static std::unique_ptr<RPU::ForwardBackwardPassIOManaged<float>> &
  fbPass(RPU::TransferRPUDevice<float> &d) {
    return d.*(&Transfer::transfer_fb_pass_);
  }
  static std::unique_ptr<RPU::PulsedRPUWeightUpdater<float>> &
  updater(RPU::TransferRPUDevice<float> &d) {
    return d.*(&Transfer::transfer_pwu_);
  }
};

struct OneSided : RPU::OneSidedRPUDevice<float> {
  static std::unique_ptr<RPU::ForwardBackwardPassIOManaged<float>> &
  fbPass(RPU::OneSidedRPUDevice<float> &d) {
    return d.*(&OneSided::refresh_fb_pass_);
  }
  static std::unique_ptr<RPU::PulsedRPUWeightUpdater<float>> &
  updater(RPU::OneSidedRPUDevice<float> &d) {
    return d.*(&OneSided::refresh_pwu_);
  }
};

/** What the update of a stock transfer compound consists of, beside the pulses. */
struct TransferUpdate : RPU::TransferRPUDevice<float> {
  static uint64_t &updateIdx(RPU::TransferRPUDevice<float> &d) {
    return d.*(&TransferUpdate::current_update_idx_);
  }
  static float **&lastWeight(RPU::TransferRPUDevice<float> &d) {
    return d.*(&TransferUpdate::last_weight_);
  }
  static void reduce(const RPU::TransferRPUDevice<float> &d, float **weights) {
    (d.*(&TransferUpdate::reduceToWeights))(weights);
  }
};

struct Chopped : RPU::ChoppedTransferRPUDevice<float> {
  static const std::vector<bool> &in(RPU::ChoppedTransferRPUDevice<float> &d) {
    return d.*(&Chopped::in_chopper_);
  }
  static const std::vector<bool> &out(RPU::ChoppedTransferRPUDevice<float> &d) {
    return d.*(&Chopped::out_chopper_);
  }
};

struct Buffered : RPU::BufferedTransferRPUDevice<float> {
  static std::vector<std::vector<float>> &buffers(RPU::BufferedTransferRPUDevice<float> &d) {
    return d.*(&Buffered::transfer_buffer_vec_);
  }
};

struct MixedPrec : RPU::MixedPrecRPUDeviceBase<float> {
  static RPU::RealWorldRNG<float> &rwRng(RPU::MixedPrecRPUDeviceBase<float> &d) {
    return d.*(&MixedPrec::rw_rng_);
  }
  static RPU::RNG<float> &rng(RPU::MixedPrecRPUDeviceBase<float> &d) {
    return d.*(&MixedPrec::rng_);
  }
  static std::unique_ptr<RPU::PulsedRPUWeightUpdater<float>> &
  updater(RPU::MixedPrecRPUDeviceBase<float> &d) {
    return d.*(&MixedPrec::transfer_pwu_);
  }
  static RPU::AbstractRPUDevice<float> &device(RPU::MixedPrecRPUDeviceBase<float> &d) {
    return *(d.*(&MixedPrec::rpu_device_));
  }
  static float granularity(RPU::MixedPrecRPUDeviceBase<float> &d) {
    return d.*(&MixedPrec::granularity_);
  }
  /** The updater's parameters for a transfer, made from the tile's. */
  static const RPU::PulsedUpdateMetaParameter<float> &transferUpdate(
      RPU::MixedPrecRPUDeviceBase<float> &d, const RPU::PulsedUpdateMetaParameter<float> &up) {
    (d.*(&MixedPrec::setUpPar))(up);
    return (d.*(&MixedPrec::transfer_pwu_))->getUpPar();
  }
};

// Private members: an explicit instantiation may name them, and the friend that it defines hands
// them out.
template <typename Tag, typename Tag::Member member> struct Opened {
  friend typename Tag::Member opened(Tag) { return member; }
};
struct ChiTag {
  using Member = float **RPU::MixedPrecRPUDevice<float>::*;
  friend Member opened(ChiTag);
};
struct RowIndexTag {
  using Member = int RPU::MixedPrecRPUDeviceBase<float>::*;
  friend Member opened(RowIndexTag);
};
struct UpdateIndexTag {
  using Member = int64_t RPU::MixedPrecRPUDeviceBase<float>::*;
  friend Member opened(UpdateIndexTag);
};
template struct Opened<ChiTag, &RPU::MixedPrecRPUDevice<float>::chi_>;
template struct Opened<RowIndexTag, &RPU::MixedPrecRPUDeviceBase<float>::current_row_index_>;
template struct Opened<UpdateIndexTag, &RPU::MixedPrecRPUDeviceBase<float>::current_update_index_>;

} // namespace warmtile::access
