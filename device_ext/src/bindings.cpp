#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "access.h"
#include "engine/engine.h"
#include "engine/kernels.h"
#include "engine/vectors.h"
#include "engine/pulse_trains.h"
#include "keys.h"
#include "seeding.h"
#include "state.h"
#include "warm_start_device.h"

namespace py = pybind11;

namespace {

using Tile = RPU::RPUPulsed<float>;
using Parameter = warmtile::WarmStartTransferRPUDeviceMetaParameter<float>;
using Compound = warmtile::WarmStartTransferRPUDevice<float>;
using FloatArray = py::array_t<float, py::array::c_style>;

Compound *findCompound(Tile &tile) {
  return dynamic_cast<Compound *>(&warmtile::access::Tile::device(tile));
}

/** The live compound inside a tile. */
Compound &compoundOf(Tile &tile) {
  auto *compound = findCompound(tile);
  if (compound == nullptr) {
    throw py::type_error("the tile's device is not a warm-start transfer compound");
  }
  return *compound;
}

FloatArray copied(const Tile &tile, const float *data) {
  return FloatArray({(py::ssize_t)tile.getDSize(), (py::ssize_t)tile.getXSize()}, data);
}

void declareCompound(py::module_ &m) {
  py::enum_<warmtile::Route>(m, "Route")
      .value("direct", warmtile::Route::Direct)
      .value("chained", warmtile::Route::Chained);

  py::class_<Parameter, RPU::TransferRPUDeviceMetaParameter<float>>(
      m, "WarmStartTransferResistiveDeviceParameter")
      .def(py::init<>())
      .def_readwrite("warm_start", &Parameter::warm_start)
      .def_readwrite("route", &Parameter::route)
      .def_readwrite("period", &Parameter::period)
      .def_readwrite("n_switches", &Parameter::n_switches)
      .def_readwrite("warm_start_lr", &Parameter::warm_start_lr)
      .def_readwrite("significance", &Parameter::significance);

  m.def("is_compound", [](Tile &tile) { return findCompound(tile) != nullptr; });
  m.def("target", [](Tile &tile) { return compoundOf(tile).target(); });
  m.def("switches", [](Tile &tile) { return compoundOf(tile).switches(); });
  m.def("total_switches", [](Tile &tile) { return compoundOf(tile).totalSwitches(); });
  m.def("advance", [](Tile &tile) { compoundOf(tile).advance(); });
  m.def("transfers", [](Tile &tile) { return compoundOf(tile).transfers(); });
  m.def("pulses", [](Tile &tile) { return compoundOf(tile).pulses(); });
}

void declareState(py::module_ &m) {
  m.def("state_matrices", [](Tile &tile) {
    py::dict matrices;
    for (const auto &matrix : warmtile::stateMatrices(tile)) {
      FloatArray values({(py::ssize_t)tile.getDSize(), (py::ssize_t)tile.getXSize()});
      matrix.read(values.mutable_data());
      matrices[py::str(matrix.name)] = values;
    }
    return matrices;
  });
  m.def("set_state_matrices", [](Tile &tile, const std::map<std::string, FloatArray> &values) {
    const auto fits = [&](const FloatArray &a) {
      return a.ndim() == 2 && a.shape(0) == tile.getDSize() && a.shape(1) == tile.getXSize();
    };
    const auto matrices = warmtile::stateMatrices(tile);
    for (const auto &matrix : matrices) { // all are checked before one is written
      const auto it = values.find(matrix.name);
      if (it == values.end() || !fits(it->second)) {
        throw py::value_error("state matrix '" + matrix.name + "' is missing or of another shape");
      }
    }
    if (values.size() != matrices.size()) {
      throw py::value_error("the state has matrices that this tile lacks");
    }
    for (const auto &matrix : matrices) {
      matrix.write(values.at(matrix.name).data());
    }
    if (auto *compound = findCompound(tile)) {
      compound->invalidateRest();
    }
  });
  m.def("nominal_steps", &warmtile::nominalSteps, py::arg("tile"));
  m.def("set_nominal_steps", &warmtile::setNominalSteps, py::arg("tile"), py::arg("steps"));
  m.def("device_weights", [](Tile &tile) {
    py::list weights;
    for (const auto &view : warmtile::deviceViews(tile)) {
      weights.append(copied(tile, view.weights[0]));
    }
    return weights;
  });
  m.def("bounds", [](Tile &tile) {
    py::list bounds;
    for (const auto &view : warmtile::deviceViews(tile)) {
      auto *pulsed = dynamic_cast<RPU::PulsedRPUDevice<float> *>(view.device);
      if (pulsed == nullptr) {
        bounds.append(py::none());
      } else {
        const auto *lower = pulsed->getMinBound()[0], *upper = pulsed->getMaxBound()[0];
        bounds.append(py::make_tuple(copied(tile, lower), copied(tile, upper)));
      }
    }
    return bounds;
  });
  m.def("share_at_bound", [](Tile &tile) {
    std::vector<double> shares;
    for (const auto &view : warmtile::deviceViews(tile)) {
      shares.push_back(warmtile::shareAtBound(view));
    }
    return shares;
  });
}

void declareSeeding(py::module_ &m) {
  m.def("child_key", &warmtile::childKey, py::arg("key"), py::arg("index"));
  m.def("seed_tile", &warmtile::seedTile, py::arg("tile"), py::arg("key"));
  m.def("rekey_tile", &warmtile::rekeyTile, py::arg("tile"), py::arg("key"));
}

void declareEngine(py::module_ &m) {
  m.def("engine_refusal", &warmtile::engineRefusal, py::arg("tile"));
  m.def("kernels", [] { return warmtile::kernels().name; });
  m.def("use_kernels", &warmtile::useKernels, py::arg("name"));

  // n_inner, n_middle, outer, middle, inner, line strides; address of line offsets, or 0
  using Layout = std::tuple<int32_t, int32_t, int64_t, int64_t, int64_t, int64_t, uintptr_t>;
  const auto batch = [](uintptr_t data, const Layout &layout) {
    const auto [n_inner, n_middle, outer, middle, inner, line, offsets] = layout;
    return warmtile::VectorBatch{
        reinterpret_cast<const float *>(data), n_inner, n_middle, outer, middle, inner, line,
        reinterpret_cast<const int64_t *>(offsets)};
  };
  m.def(
      "engine_update",
      [batch](
          Tile &tile, uintptr_t x, const Layout &x_layout, uintptr_t d, const Layout &d_layout,
          int n_vectors, uint64_t key, int n_threads) {
        return warmtile::engineUpdate(
            tile, batch(x, x_layout), batch(d, d_layout), n_vectors, key, n_threads);
      },
      py::arg("tile"), py::arg("x"), py::arg("x_layout"), py::arg("d"), py::arg("d_layout"),
      py::arg("n_vectors"), py::arg("key"), py::arg("n_threads"));

  m.def(
      "channels_first",
      [](uintptr_t from, uintptr_t to, int n_images, int n_pixels, int n_channels) {
        const int64_t size = (int64_t)n_pixels * n_channels;
        for (int i = 0; i < n_images; i++) {
          warmtile::transposeRows(
              reinterpret_cast<const float *>(from) + i * size, n_channels, n_pixels, n_channels,
              reinterpret_cast<float *>(to) + i * size, n_pixels);
        }
      },
      py::arg("source"), py::arg("target"), py::arg("n_images"), py::arg("n_pixels"),
      py::arg("n_channels"));

  // The random numbers themselves, for the tests of their statistics.
  m.def("draws", [](uint64_t key, uint32_t start, uint32_t n) {
    py::array_t<uint32_t> out((py::ssize_t)n);
    auto *p = out.mutable_data();
    for (uint32_t i = 0; i < n; i++) {
      p[i] = warmtile::draw(warmtile::split(key), start + i);
    }
    return out;
  });
  m.def("normals", [](const py::array_t<uint32_t, py::array::c_style> &bits) {
    constexpr size_t group = 16; // room up to the next multiple
    std::vector<float> values(((size_t)bits.size() + group - 1) / group * group);
    std::memcpy(values.data(), bits.data(), (size_t)bits.size() * sizeof(float));
    warmtile::kernels().normals((int)bits.size(), values.data());
    return py::array_t<float>(bits.size(), values.data());
  });
  m.def("fire", [](const FloatArray &v, float p, uint64_t key) {
    std::vector<int32_t> lines((size_t)v.size() + warmtile::fire_slack);
    const int n = warmtile::kernels().fire(
        v.data(), (int)v.size(), p, warmtile::split(key), lines.data(), nullptr);
    lines.resize((size_t)n);
    return lines;
  });
}

} // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "Warm-start transfer device, seeding, exact state and pulse engine on aihwkit's tiles.";
  py::module_::import("aihwkit.simulator.rpu_base"); // registers the base classes
  declareCompound(m);
  declareState(m);
  declareSeeding(m);
  declareEngine(m);
}
