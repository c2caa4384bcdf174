"""A person's recipe: its words, and how its text is read."""

from plansmith.recipe.plain_words import AsTrained as AsTrained
from plansmith.recipe.plain_words import GoldenSource as GoldenSource
from plansmith.recipe.plain_words import PlainRecipe as PlainRecipe
from plansmith.recipe.plain_words import PythonModel as PythonModel
from plansmith.recipe.words import CALIBRATION_METHODS as CALIBRATION_METHODS
from plansmith.recipe.words import LAYOUTS as LAYOUTS
from plansmith.recipe.words import METRICS as METRICS
from plansmith.recipe.words import OUTPUT_KINDS as OUTPUT_KINDS
from plansmith.recipe.words import SOURCE_KINDS as SOURCE_KINDS
from plansmith.recipe.words import TARGETS as TARGETS
from plansmith.recipe.words import Budget as Budget
from plansmith.recipe.words import Data as Data
from plansmith.recipe.words import Input as Input
from plansmith.recipe.words import Output as Output
from plansmith.recipe.words import Preprocess as Preprocess
from plansmith.recipe.words import Prune as Prune
from plansmith.recipe.words import Quantize as Quantize
from plansmith.recipe.words import Recipe as Recipe
from plansmith.recipe.words import Source as Source
