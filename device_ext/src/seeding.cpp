#include "seeding.h"

#include <cstdlib>
#include <memory>

#include "access.h"
#include "keys.h"

namespace warmtile {

namespace {

using Device = RPU::AbstractRPUDevice<float>;

/** A seed for aihwkit, where 0 would mean "by the clock". */
unsigned int seedOf(uint64_t key, uint64_t index) {
  const auto seed = (unsigned int)(childKey(key, index) >> 33);
  return seed == 0 ? 1u : seed;
}

/** A fresh generator: setSeed() alone would keep the normal distribution's spare value. */
RPU::RealWorldRNG<float> generator(uint64_t key, uint64_t index) {
  return RPU::RealWorldRNG<float>(seedOf(key, index));
}

std::shared_ptr<RPU::RNG<float>> table(uint64_t key, uint64_t index) {
  return std::make_shared<RPU::RNG<float>>(seedOf(key, index));
}

std::unique_ptr<RPU::PulsedRPUWeightUpdater<float>>
seededUpdater(const RPU::PulsedRPUWeightUpdater<float> &old, Device &device, uint64_t key) {
  auto fresh = std::make_unique<RPU::PulsedRPUWeightUpdater<float>>(
      device.getXSize(), device.getDSize(), table(key, 11));
  fresh->setUpPar(old.getUpPar());
  return fresh;
}

void seedDevice(Device &device, uint64_t key) {
  if (auto *pair = dynamic_cast<RPU::OneSidedRPUDevice<float> *>(&device)) {
    auto pass = std::make_unique<RPU::ForwardBackwardPassIOManaged<float>>(
        device.getXSize(), device.getDSize(), table(key, 16));
    const auto &io = pair->getPar().refresh_io;
    pass->populateFBParameter(io, io);
    access::OneSided::fbPass(*pair) = std::move(pass);
    auto &updater = access::OneSided::updater(*pair);
    updater = seededUpdater(*updater, device, childKey(key, 17));
  }
  if (auto *transfer = dynamic_cast<RPU::TransferRPUDevice<float> *>(&device)) {
    auto pass = std::make_unique<RPU::ForwardBackwardPassIOManaged<float>>(
        device.getXSize(), device.getDSize(), table(key, 12));
    const auto &io = transfer->getPar().transfer_io;
    pass->populateFBParameter(io, io);
    access::Transfer::fbPass(*transfer) = std::move(pass);
    auto &updater = access::Transfer::updater(*transfer);
    updater = seededUpdater(*updater, device, key);
  }
  if (auto *vector = dynamic_cast<RPU::VectorRPUDevice<float> *>(&device)) {
    for (const auto &sub : vector->getRpuVec()) {
      seedDevice(*sub, childKey(key, 13));
    }
  }
  if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDeviceBase<float> *>(&device)) {
    access::MixedPrec::rng(*mixed).setSeed(seedOf(key, 14));
    auto &updater = access::MixedPrec::updater(*mixed);
    updater = seededUpdater(*updater, device, key);
    seedDevice(access::MixedPrec::device(*mixed), childKey(key, 15));
  }
}

void rekeyDevice(Device &device, uint64_t key) {
  if (auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(&device)) {
    if (pulsed->getPar().usesPersistentWeight()) {
      access::Pulsed::writeNoiseRng(*pulsed) = generator(key, 21);
    }
  } else if (auto *vector = dynamic_cast<RPU::VectorRPUDevice<float> *>(&device)) {
    access::Vector::rwRng(*vector) = generator(key, 22);
    uint64_t k = 0;
    for (const auto &sub : vector->getRpuVec()) {
      rekeyDevice(*sub, childKey(key, 100 + k++));
    }
  } else if (auto *mixed = dynamic_cast<RPU::MixedPrecRPUDeviceBase<float> *>(&device)) {
    access::MixedPrec::rwRng(*mixed) = generator(key, 23);
    rekeyDevice(access::MixedPrec::device(*mixed), childKey(key, 24));
  }
}

} // namespace

void seedTile(RPU::RPUPulsed<float> &tile, uint64_t key) {
  tile.setRandomSeed(seedOf(key, 1));

  RPU::ForwardBackwardPassIOManaged<float> pass(tile.getXSize(), tile.getDSize(), table(key, 2));
  pass.populateFBParameter(tile.getMetaPar().f_io, tile.getMetaPar().b_io);
  auto parameter = pass.getFBParameter();
  tile.setFBParameter(parameter);

  seedDevice(access::Tile::device(tile), childKey(key, 3));
}

void rekeyTile(RPU::RPUPulsed<float> &tile, uint64_t key) {
  srand(seedOf(key, 4));
  access::Tile::rwRng(tile) = generator(key, 5);
  rekeyDevice(access::Tile::device(tile), childKey(key, 6));
}

} // namespace warmtile
