/** The Appearance variables that the form's style sheets make use of. */
export const HONOURED = (
  "accordionItemLabelColorText accordionItemLabelFontSize accordionItemLabelFontWeight " +
  "accordionItemLabelSelectedColorText accordionItemLabelSelectedFontWeight accordionItemSpacing " +
  "accordionItemTriggerColor accordionItemTriggerHoverColor accordionItemTriggerSelectedColor borderRadius " +
  "colorBackground colorDanger colorIcon colorIconChevronDown colorPrimary colorText colorTextPlaceholder " +
  "colorTextSecondary focusBoxShadow focusOutline fontFamily fontLineHeight fontSizeBase fontSizeSm fontSizeXs " +
  "fontSmooth fontVariantLigatures fontVariationSettings fontWeightMedium fontWeightNormal gridColumnSpacing " +
  "gridRowSpacing iconChevronDownColor iconColor inputBoxShadow inputColorBorder inputFocusBoxShadow " +
  "inputFocusColorBorder labelColorText labelFontSize labelFontWeight labelSpacing spacingAccordionItem " +
  "spacingGridColumn spacingGridRow spacingTab spacingUnit tabSpacing"
).split(" ");

/** Those of parts that this form does not have (buttons, icons, logos) or of sizes it does not need; others may refer to them. */
export const WITHOUT_USE = (
  "accessibleColorOnColorBackground accessibleColorOnColorDanger accessibleColorOnColorPrimary " +
  "accessibleColorOnColorSuccess accessibleColorOnColorWarning blockLogoColor buttonBorderRadius buttonBoxShadow " +
  "buttonColorBackground buttonColorText buttonExpressCheckoutBorderRadius buttonFontSize buttonFontWeight " +
  "buttonPadding colorBackgroundText colorDangerText colorIconCardCvc colorIconCardCvcError colorIconCardError " +
  "colorIconCheckmark colorIconChevronDownHover colorIconHover colorIconRedirect colorIconTab colorIconTabHover " +
  "colorIconTabMore colorIconTabMoreHover colorIconTabSelected colorLogo colorLogoBlock colorLogoTab " +
  "colorLogoTabSelected colorPrimaryText colorSuccess colorSuccessText colorWarning colorWarningText fontSize2Xs " +
  "fontSize3Xs fontSizeLg fontSizeXl fontWeightBold fontWeightLight iconCardCvcColor iconCardCvcErrorColor " +
  "iconCardErrorColor iconCheckmarkColor iconChevronDownHoverColor iconCloseColor iconCloseHoverColor " +
  "iconHoverColor iconLoadingIndicatorColor iconMenuColor iconMenuHoverColor iconPasscodeDeviceColor " +
  "iconPasscodeDeviceHoverColor iconPasscodeDeviceNotificationColor iconRedirectColor logoColor tabIconColor " +
  "tabIconHoverColor tabIconMoreColor tabIconMoreHoverColor tabIconSelectedColor tabLogoColor tabLogoSelectedColor"
).split(" ");
