"""A recipe's data: samples, one value for each, and what identifies them."""

from plansmith.data.identity import DataIdentity as DataIdentity
from plansmith.data.samples import Samples as Samples
