//! What is said in languages other than English.

use super::tests::assert_said;

#[test]
fn short_notes_that_say_no_are_read() {
    assert_said(&[
        "No {fiebre|N}, no {tos|N}, no {disnea|N}.",
        "{Fiebre|N}: no\n{Tos|N}: no\n{Disnea|N}: no",
        "{Fièvre|N} : non\n{Toux|} : oui\n{Dyspnée|N} : non",
        "{Febbre|N}: no\n{Tosse|N}: no\n{Vomito|N}: no",
        "No {fever|N}, no {cough|N}. No {SOB|N}.",
    ]);
}

#[test]
fn what_is_absent_in_german_and_dutch() {
    assert_said(&[
        "Seit 2010 ein nicht-kleinzelliges {Lungenkarzinom|}.",
        "Een niet-kleincellig {longcarcinoom|}.",
        "Ausschluss {TVT|N}.",
        "Ausschluß {TVT|N}, {Erysipel|}.",
        "Fragestellung: Ausschluss {TVT|U}?",
        "Die Sonographie der Beine zum Ausschluss {TVT|U}.",
        "{Fieber|N} trat nicht auf. {Krämpfe|N} traten nicht auf.",
        "{Fieber|N} ist nicht aufgetreten.",
        "{TVT|N} ausgeschl.",
        "Die {Pneumonie|N} bestätigte sich nicht.",
        "Der Verdacht auf {Pneumonie|N} ließ sich nicht bestätigen.",
        "{Stürze|N} habe er nicht gehabt.",
        "Sie leidet nicht unter {Asthma|N} und ist mit {Fieber|} da.",
        "{Allergien|N} sind nicht bekannt.",
        "De {fractuur|N} is niet zichtbaar. {Koorts|N} is niet opgetreden.",
        "{Knoten|} Ø ca. 5 cm, {Zyste|}",
        "Der Patient ist mit der Tochter da und hat Ø {Fieber|N}, {Husten|}.",
        "Le patient a ∅ {fièvre|N}",
    ]);
}

#[test]
fn what_is_denied_at_the_end_is_denied() {
    assert_said(&[
        "{Meningitis|N}: kein Anhalt. Kein Anhalt für {Thrombose|N}. {Erguss|N} nicht zu sehen, der Patient ist da.",
        "{Pericarditis|N}: no evidence. No sign of {sepsis|N}, the patient is well.",
        "{Phlébite|N} : pas d'argument. {Vomissements|N} : jamais. La patiente a une {toux|}.",
        "{Derrame|N} no se identifica. {Shock|N} sin criterios (lactato 1). La paciente tiene {tos|}.",
        "{Versamento|N} non si osserva. {Sincope|N}: mai. Mai {febbre|N}. Il paziente ha {tosse|}.",
        "{Trombose|N}: geen aanwijzingen. {Flauwvallen|N}: nooit. De patiënt heeft {jicht|}.",
        "{Derrame|N} não se visualiza. {Sépsis|N} sem critérios (lactato 1). {Síncope|N}: nunca. O doente tem {tosse|}.",
        "{Congestione|N} delle {vene|N} giugulari assente. {Ectasia|N} de la {aorta|N} descartada. Il paziente ha {tosse|}.",
        "{HTA|} sin criterios de {preeclampsia|N}. La paciente tiene {tos|}.",
        "{Node|N} searched for, not found. {Cough|}, not found at home.",
        "{Ganglion|N} recherché, non retrouvé. La patiente a une {toux|}.",
    ]);
}

#[test]
fn what_one_has_to_think_of_is_uncertain() {
    assert_said(&[
        "Differenzialdiagnostisch könnte es sich um ein {Lymphom|U} handeln. {Knoten|U} abklärungsbedürftig. Der Patient ist da.",
        "{Abcès|U} à confronter au scanner. Il pourrait s'agir d'une {sarcoïdose|U}. {Angiome|U} plutôt que {métastase|U}. La patiente a une {toux|}.",
        "{Endocarditis|U} a descartar (ETE). Hay que pensar en {tuberculosis|U} y en {linfoma|U}. {Micosis|U} no descartable. La paciente tiene {tos|}.",
        "{Linfoma|U} da escludere con biopsia. Potrebbe trattarsi di {vasculite|U}. {Angioma|U} piuttosto che {metastasi|U}. Il paziente ha {tosse|}.",
        "Te denken aan {vasculitis|U}. Het effect ofwel {hyperthyreoïdie|U}. De patiënt heeft {jicht|}.",
        "{Endocardite|U} a afastar por eco. Poderá tratar-se de {linfoma|U}. O doente tem {tosse|}.",
        "A descartar {TEP|U}. La paciente tiene {tos|}.",
    ]);
}

#[test]
fn what_stands_behind_or_is_joined_is_denied() {
    assert_said(&[
        "{Dysurie|N} wurde verneint. {Fieber|N} und {Dyspnoe|N} wurden verneint.",
        "{Koorts|N} heeft hij niet.",
        "Descartada {TVP|N} y {TEP|N}. Descartada {fractura|N}, {artrosis|}",
        "Esclusi {pneumotorace|N} e {fratture|N}.",
        "{TEP|N} afastado. {Derrame|N} no visualizado.",
        "Ne montre plus d'{épanchement|N}.",
        "Sin otra patología que {HTA|}. Keine anderen Beschwerden als {Husten|}.",
        "Sans {foyer|N} ni {épanchement|N}, {cardiomégalie|}",
        "No se puede excluir {TEP|U}.",
        "Gestante 32 sem, {preeclampsia|}. Hb 10 sem {sangramento|N}",
        "{Fractura|H} antigua en {costilla|}",
        "La madre de la niña refiere {fiebre|}. La mère de l'enfant rapporte une {fièvre|}. Die Mutter des Kindes berichtet über {Fieber|}.",
        "Wegen zunehmender {Dyspnoe|} erfolgte die sofortige Vorstellung. Bei {Fieber|Y} sofortige Vorstellung.",
        "St. p. {Mammakarzinom|H}. Zust. n. {Apoplex|H}",
    ]);
}

#[test]
fn what_is_absent_in_romance_languages() {
    assert_said(&[
        "{Fièvre|N} : aucune. {Allergie|N} : néant.",
        "{Toux|}, aucune {fièvre|N}.",
        "Élimination d'une {embolie|N}.",
        "Elle n'a plus de {fièvre|N}. Il n'y a plus d'{œdème|N}.",
        "{Nodule|} de plus de 5 mm, {calcification|}.",
        "Esclusa {TVP|N}.",
        "Esclusa la {TVP|N}.",
        "{TVP|N} esclusa con ecodoppler.",
        "{TVP|N} esclusa, {febbre|} presente.",
        "Assenti {edemi declivi|N}.",
        "{Edemi|N} assenti agli {arti inferiori|}.",
        "{Cianosi|N} assente, {edema|} presente.",
        "Descartado {TEP|N}. Descartada {apendicitis|N}.",
        "Se ha descartado un {TEP|N}.",
        "{TEP|N} descartado por TC.",
        "{Edemas|N} ausentes, {fiebre|} alta.",
        "{Edemas|N} no presentes.",
        "Excluída {TVP|N}. Excluiu-se {apendicite|N}.",
        "{TVP|N} excluída por ecodoppler.",
        "{Edema|N} ausente, {febre|} alta.",
        "Un {cancer du poumon|} non à petites cellules.",
    ]);
}

#[test]
fn what_lasts_is_not_past() {
    assert_said(&[
        "{Fiebre|} desde hace 3 días.",
        "{Ictus|H} hace 5 años.",
        "{Infarctus|H} il y a 3 ans, {AVC|H} il y a environ 10 ans.",
        "{Chute|} il y a 2 jours.",
        "Au scanner du {thorax|} il y a un {nodule|}.",
        "AP de {HTA|H} y {diabetes|H}.",
        "{Ipertensione|H} in anamnesi.",
        "In APR {ipertensione|H}.",
    ]);
}

#[test]
fn what_a_patient_shall_return_with_is_feared() {
    assert_said(&[
        "Wiedervorstellung bei {Fieber|Y} oder {Schmerzen|Y}.",
        "Bei {Fieber|Y} oder {Schmerzen|Y} sofortige Wiedervorstellung.",
        "{Pneumonie|}. Wiedervorstellung in einer Woche.",
        "Die Vorstellung bei {Dyspnoe|} erfolgte heute.",
        "Contact opnemen bij {koorts|Y}.",
        "Bij {koorts|Y}, {braken|Y} of {pijn|Y} contact opnemen.",
        "{Tetanus|Y} aufgefrischt. Gegen {Masern|Y} geimpft.",
        "Vacunado contra la {gripe|Y}.",
        "Vacinada contra a {gripe|Y}.",
        "Vaccinato per {epatite B|Y}.",
        "Gevaccineerd tegen {griep|Y}.",
    ]);
}

#[test]
fn drugs_that_are_stopped() {
    assert_said(&[
        "Se suspende {enalapril|!H}, se inicia {losartán|!}.",
        "{AAS|!H} suspendido, {heparina|!}.",
        "Ha dejado de tomar {metformina|!H}.",
        "No se suspende {enalapril|!}.",
        "Sospesa {metformina|!H}. {Ramipril|!H} sospeso, {bisoprololo|!}",
        "Sospensione di {warfarin|!H}",
        "Suspendeu {varfarina|!H}. Suspende-se {enalapril|!H}.",
        "Deixou de tomar {metformina|!H}",
        "Arrêt du {bisoprolol|!H}. Arrêt d'{aspirine|!H}",
        "{Metformine|!H} suspendue, {aspirine|!} 75 mg",
        "{Marcumar|!H} pausiert. Absetzen von {Ibuprofen|!H}.",
        "Gestopt met {metoprolol|!H}.",
    ]);
}

#[test]
fn what_is_uncertain_in_other_languages() {
    assert_said(&[
        "{TVP|U} a excluir. {Neoplasia|U} a confirmar.",
        "Suspeita-se de {apendicite|U}.",
        "Suspicion {embolie pulmonaire|U}.",
        "Diagnostic différentiel : {pneumopathie|U}",
        "Diagnóstico diferencial: {neumonía|U}",
        "Diagnosi differenziale: {polmonite|U}",
        "Wsch {pneumonie|U}. Beeld past bij {pneumonie|U}.",
        "In prima ipotesi {polmonite|U}.",
    ]);
}

#[test]
fn relatives_in_other_languages() {
    assert_said(&[
        "Condotto dalla madre per {febbre|}.",
        "Trazida pela mãe por {febre|}.",
        "Sohn hat {Epilepsie|F}. Ehemann an {Krebs|F} verstorben.",
        "Wird von seiner Tochter mit {Fieber|} gebracht.",
        "Wird vom Sohn mit {Fieber|} gebracht.",
        "Hijo con {asma|F}. Marido tiene {gripe|F}.",
        "Traída por su hija con {fiebre|}.",
        "Figlio affetto da {celiachia|F}. Moglie con {influenza|F}.",
        "Filho com {asma|F}. Marido tem {gripe|F}.",
        "Dochter heeft {griep|F}.",
        "Jeune femme à risque de chute.",
        "Un fils a une {épilepsie|F}.",
        "{Brustkrebs|F} in der Familie. In der Familie {Diabetes|F}.",
        "{Brustkrebs|F} in der Familie bekannt.",
        "{Diabetes|F} na família. En la familia {diabetes|F}.",
        "In famiglia {diabete|F}. {Diabète|F} dans la famille.",
        "{Diabetes|F} in de familie.",
    ]);
}

#[test]
fn headings_of_other_languages_say_whose_it_is_and_when() {
    assert_said(&[
        "Familiarità: {diabete|F}",
        "H. familiar: {diabetes|F}",
        "A. familiares: {diabetes|F}\nA. personales: {HTA|H}",
        "Antec. personales: {HTA|H}",
        "ATCD perso : {HTA|H}\nATCD familiaux : {diabète|F}",
        "Familiäre Belastung: {Brustkrebs|F}",
        "AP: {HTA|H}, {EPOC|H}\nAC: rítmica\nAP: {crepitantes|} bibasales",
        "AC: rítmica. AP: {roncus|} dispersos.",
        "Antecedentes de interés: {HTA|H}",
    ]);
}

#[test]
fn words_of_other_languages_say_nothing_in_english() {
    assert_said(&[
        "Elimination diet for {eczema|}, {gout|} stable.",
        "The {wound|} is contacted by the graft of the skin, {pain|} noted.",
        "Seen with son, {fever|} since Monday. {Asthma|} and {gout|}.",
        "Low suspicion for {PE|U}. Wound suspended, {rash|}.",
        "{Mass|} measuring Ø 5 cm, {cyst|}",
    ]);
}

#[test]
fn what_stands_beside_it_is_not_said_so() {
    assert_said(&[
        "{Pneumonie|} unter Antibiose, {Fieber|N} nicht mehr aufgetreten.",
        "Zum Ausschluss einer {TVT|U} Sonographie. V.a. {TVT|U}. Bitte um Ausschluss {Thrombose|U}.",
        "{Dyspnoe|} und {Husten|}, bei {Fieber|Y} bitte wiedervorstellen.",
        "{Marcumar|!H} pausiert, {ASS|!} weiter.",
        "Se descarta {TEP|N}. {Neumonía|N} descartada, {fiebre|} persistente.",
        "{Enalapril|!H} suspendido por {tos|}.",
        "Si sospende {metformina|!H} per {IRA|}. {Ramipril|!H} sospeso per {tosse|}.",
        "Kind met {koorts|}, contact opnemen met de huisarts.",
        "Gestopt met {metoprolol|!H}, gestart met {amlodipine|!}.",
    ]);
}

#[test]
fn short_words_for_no_are_read() {
    assert_said(&[
        "MMII s/ {edema|N}",
        "Pcte s/ {febre|N}, s/ {dispneia|N}.",
        "Abdómen s/ {massas|N}",
        "Pte s/{fiebre|N}",
        "S/ {febre|} há 3 dias. Heparina s/c, {febre|}",
        "TC encefalo: neg per {emorragia|N}",
        "TC {encefalo|}: neg. per {emorragia|N}",
        "Eco addome negativa x {calcoli|N}",
        "{Kortademig|N} niet.",
        "{Kortademig|N}: niet. {Misselijk|N} niet, {hoest|}.",
        "De patiënt begrijpt zijn {diabetes|} niet.",
        "{Husten|N} nicht.",
        "Er akzeptiert die Diagnose {Krebs|} nicht.",
        "Pat. o. {Fieber|N}",
        "{Husten|} o. {Fieber|}. Heparin p.o., s. o. {Pneumonie|}",
    ]);
}

#[test]
fn relatives_who_are_ill_are_told_of() {
    assert_said(&[
        "She lives with her son, who has severe {asthma|F}.",
        "Lives with her son, who has {COPD|F}, and is {anxious|}.",
        "Su hijo, que tiene {asma|F}, vive con ella.",
        "Mujer, que tiene {asma|}.",
        "Son fils, qui a la {grippe|F}, l'a accompagnée.",
        "Suo figlio, che ha l'{influenza|F}, la accompagna.",
        "O filho, que tem {asma|F}, acompanha-a.",
        "Wohnt bei ihrem Sohn, der eine {Grippe|F} hat. Jetzt {Husten|}.",
        "Haar zoon, die {griep|F} heeft, is mee.",
        "68-jähriger Mann, der eine {Pneumonie|} hat.",
        "Tochter ist an {Grippe|F} erkrankt.",
        "Seine Frau hat {Grippe|F}.",
        "Tochter ist krank ({Grippe|F})",
        "Dochtertje heeft {roodvonk|F}.",
        "Echtgenote is zelf ziek ({griep|F}).",
        "Su mujer tiene {COVID|F}.",
        "Donor died of {SAH|F}",
        "Die Frau hat {Grippe|}.",
        "La mujer tiene {COVID|}",
        "Tochter ist besorgt wegen {Fieber|}",
    ]);
}

#[test]
fn a_letter_with_a_full_stop_may_end_a_sentence() {
    assert_said(&[
        "No tomar AINE 7 d. Reiniciar {Sintrom|} mañana.",
        "No {fever|N} 3 d. {Cough|} since Monday.",
        "No {vomiting|N} 2 h. {Chest pain|} now.",
        "No {pain|N} x 2 w. {Seizure|} yesterday.",
        "No {pain|N} L. {Swelling|} R.",
        "No {oedema|N} in leg L. {Rash|} on arm R.",
        "Keine {Schmerzen|N} 3 d. {Husten|} seit gestern.",
        "Keine {Blutung|N} 2 T. {Fieber|} seit heute.",
        "Pas de {fièvre|N} 3 j. {Toux|} persistante.",
        "Pas de {lésion|N} à G. {Fracture|} à D.",
        "Sin {fiebre|N} 5 d. {Disnea|} de esfuerzo.",
        "Sem {febre|N} 3 d. {Tosse|} persistente.",
        "Geen {koorts|N} 3 d. {Hoest|} sinds gisteren.",
        "No toma {AAS|!N} 7 d. Toma {bisoprolol|!}.",
        "PMH {asthma|H} 10 y. {Pneumonia|} today.",
        "No evidence of {E. coli|N} {pneumonia|N}.",
        "No signs of {hepatitis B|N}. {Cough|} for days.",
        "No {S. aureus|N} {bacteraemia|N}.",
        "{Hepatitis B|}. {Cough|} and no {E. coli|N}.",
        "No {S. aureus|N}. {Fever|} present.",
        "Kein {M. Crohn|N}. {Husten|} seit gestern.",
        "Z.n. {M. Hodgkin|H} 1999.",
        "Keine {V. a. Pneumonie|N}.",
        "Dr. M. Maier sah {Husten|}.",
        "No {fever|N} or {vit. D deficiency|N}.",
        "Seen by J. Smith for {cough|}. No {vitamin D|!N}. Given.",
    ]);
}

#[test]
fn a_denial_ends_where_something_is_had_measured_or_a_reason() {
    assert_said(&[
        "Sem {náusea|N}, apresentou 1 episódio de {êmese|}.",
        "Nega {náusea|N}, apresentou 1 episódio de {êmese|}.",
        "Nega {dor torácica|N}, apresentou {dispneia|} ontem.",
        "Nega {tosse|N}, teve {febre|} ontem.",
        "Niega {fiebre|N}, presentó {vómitos|}.",
        "Niega {tos|N}, tuvo {fiebre|} ayer.",
        "Geen {ibuprofen|!N} ivm {waterpokken|}.",
        "Geen {ibuprofen|!N} ivm {waterpokken|}.",
        "Geen NSAID ivm {nierinsufficientie|}.",
        "Geen NSAID vanwege {maagzweer|}.",
        "Pas d'AINS en raison d'une {insuffisance rénale|}.",
        "Pas d'aspirine à cause d'un {ulcère|}.",
        "Evitare {FANS|!Y} per {IRC|}.",
        "Evitare {metformina|!Y} per {insufficienza renale|}.",
        "Non {disuria|N}, urine chiare, {creatinina|!} 1,2.",
        "Non {febbre|N}, alvo regolare, {creatinina|!} 1,2.",
        "Non {edemi|N}, diuresi valida, {potassio|!} 3,1.",
        "Nessuna {febbre|N}, apiretico, {sodio|!} 132.",
        "No {oedema|N}, passing urine, {creatinine|!} 1.2.",
    ]);
}

#[test]
fn relatives_are_known_by_their_age_and_what_is_told_of_them() {
    assert_said(&[
        "AF: {IAM|F} padre 49a.",
        "AF: {ictus|F} padre 49 años.",
        "AF: {ictus|F} padre (49).",
        "AF: {cáncer de mama|F} madre 50a.",
        "AF: {IAM|F} pai 49a, {AVC|F} mãe 60a.",
        "FA: {Herzinfarkt|F} Vater 49J.",
        "FH: {MI|F} father 49.",
        "Fam: broer {hartinfarct|F} 52. Med {metformine|!}, {lisinopril|!}.",
        "Fam: broer {hartinfarct|F} 52. Med. {metoprolol|!}, {digoxine|!}.",
        "Fratellino con {varicella|F}.",
        "Sorellina con {tosse|F}.",
        "Il nonno ha la {tubercolosi|F}.",
        "Sa fille est suivie pour une {schizophrénie|F}.",
        "La fille de la patiente a un {cancer du sein|F}.",
        "Son mari est soigné pour une {dépression|F}.",
        "Parceiro com {gonorreia|F}.",
        "Companheira com {sífilis|F}.",
        "Freundin hat {Grippe|F}.",
        "Hijo {epiléptico|F}.",
        "Wife exhausted, has own {Parkinson's|F}.",
        "Wife exhausted, has {dementia|F}.",
        "Husband tired, has {COPD|F}.",
        "Son well, has {asthma|F}.",
        "FA: Vater {Magenkarzinom|F}, keine {HNPCC|NF}.",
        "Wife tired, has {COPD|F}.",
        "Wife with {COPD|F}.",
        "Wife has {COPD|F}.",
        "Wife tired, {COPD|F}.",
        "Her wife, who has {COPD|F}.",
        "Mother tired, has {COPD|F}.",
        "Wife tired, has {COPD|F}, and he has {cough|}.",
        "Lives with her son, who has {COPD|F}, and is {anxious|}.",
        "Her mother, who has {COPD|F}, says he has {fever|}.",
    ]);
}

#[test]
fn what_is_absent_is_told_behind_it_too() {
    assert_said(&[
        "Echo: {IUGR|N} niet, oligohydramnion.",
        "VHB imune, {VHC|N} neg. Rubéola imune.",
        "Konkrete {Suizidgedanken|N} glaubhaft verneint.",
        "{Brustschmerz|N} glaubhaft verneint.",
        "{Fieber|N} glaubwürdig verneint.",
        "{Suizidgedanken|N} ebenfalls verneint.",
        "Geen aanw. voor {osteonecrose|N}.",
        "{Trombose|N} niet aantoonbaar.",
        "{Lesioni vascolari|N}: nessuna.",
        "{Fratture|N}: nessuna.",
        "{Edemi|N}: nessuno.",
        "{Rigidità nucale|N} neg. Tampone SBEGA pos.",
        "{Convulsão|N} na abstinência nunca teve.",
        "{Asma|N} nunca teve.",
        "{Pneumothorax|N} nil residual.",
        "{Effusion|N} nil significant.",
        "{Wheeze|N} nil audible.",
        "{Wegraking|U} niet waarschijnlijk.",
    ]);
}

#[test]
fn what_is_over_is_told_in_many_words() {
    assert_said(&[
        "Früher {Panikattacken|H}.",
        "Früher {Asthma|H}, jetzt {Husten|}.",
        "{Asthma|H} früher.",
        "Vroeger {migraine|H}.",
        "Autrefois {migraines|H}.",
        "Antes {asma|}.",
        "Antes de la {cirugía|} tenía {dolor|}.",
        "EA: {Fieberkrampf|H} 2018.\nBefund: {Husten|}",
        "Geburtsanamnese: {Gestationsdiabetes|H}.",
        "VG obst: {pre-eclampsie|H}.\nNu: {hoest|}",
        "VG gyn: {myoom|H}.",
        "{Asthma|H} in VG.",
        "{Astma|H} in de VG.",
        "{HIT II|H} anamn.",
        "Anamn. {Lungenembolie|H}.",
        "{Pneumonia|H}, recovered.",
        "{Pneumonie|H} ausgeheilt.",
        "Passagere {Hemiparese|H}.",
        "{Fieber|H} sistiert.",
        "{Pneumonie|H} opgelost.",
        "{Koorts|H} opgeklaard.",
        "{Polmonite|H} trattata con {amoxicillina|!}, risolta.",
        "{Pneumonia|H} treated with {amoxicillin|!}, resolved.",
        "{Frattura|H} {polso|H} 2020.",
        "{Embolie pulm.|H} 2020.",
        "{Fx|H} {wrist|H} 2020.",
        "Previa inyección de {adrenalina|!}.",
        "Serología {VHB|Y} previa a cirugía.",
        "Stop: {temazepam|!H}, {oxybutynine|!H}.",
        "{Sertraline|!H} tried without benefit.",
    ]);
}

#[test]
fn what_is_to_be_done_where_something_comes_is_feared() {
    assert_said(&[
        "Bei {Kopfschmerzen|Y} sofort CT. Bei {Suizidalität|Y} Verlegung.",
        "Als {nekstijfheid|Y} of niet drinken: bellen. MgSO4 alleen bij {ernstige PE|Y}.",
        "Héparino-prophylaxie {enoxaparine|!} 0,4.",
        "Bei {Fieber|Y} >39 Arzt rufen.",
        "Bei {Atemnot|Y} sofort Notarzt.",
        "Bei {Krampfanfall|Y} {Diazepam|!} rektal.",
        "Bei {Unruhe|Y}: {Lorazepam|!}.",
        "Bei {Fieber|Y} Wiedervorstellung.",
        "Bij {koorts|Y} bellen.",
        "Bij {pijn|Y} {paracetamol|!}.",
        "Bij {dyspnoe|Y} {morfine|!} 5 mg.",
        "Als {koorts|Y}: bellen.",
        "Alleen bij {koorts|Y}.",
        "Bei {Pneumonie|} Gabe von {Ceftriaxon|!}.",
        "Bei {Diabetes|} Insulintherapie seit 2010.",
        "Aufnahme bei {Pneumonie|}.",
        "Bei bekannter {COPD|} nun {Dyspnoe|}.",
        "Bei Z.n. {Apoplex|H} Thrombozytenaggregation.",
        "Bij {astma|} nu {dyspnoe|}.",
        "Bij bekende {COPD|} nu koorts.",
        "B. {Fieber|Y} > 38,5 Paracetamol.",
        "Bei Nachweis der {Mutation|Y} Therapie.",
        "Risico {MRONJ|Y} besproken.",
        "Rischio {chetoacidosi|Y} spiegato.",
        "Riesgo {sangrado|Y} explicado.",
        "Kans op {infectie|Y} besproken.",
        "Profilassi {TVP|Y} con {enoxaparina|!}.",
        "Profilaxis {TVP|Y} con {enoxaparina|!}.",
        "Prophylaxie {TVP|Y}.",
        "Profilaxia {TEV|Y}.",
        "Vacina {gripe|Y} feita.",
        "Vaccino {influenza|Y}.",
        "Vaccinatie {hepatitis B|Y}.",
        "{Masern|Y}-Impfung fehlt.",
        "Cribado {CCR|Y}.",
        "Midazolam for {agitation|}.",
        "Excluir {transformação hemorrágica|U}, depois {AAS|!}.",
        "Descartar {hemorragia|U}, luego {heparina|!}.",
        "{VIH|} serología previa.",
        "{IUGR|N} niet, {hoest|}.",
        "Bei {Pneumonie|} Gabe von {Ceftriaxon|!}.",
        "Bei Schmerzen {Ibuprofen|!} gegeben.",
        "Bei {Schmerzen|} wurde {Ibuprofen|!} gegeben.",
        "Aufnahme bei {Fieber|}. {Ceftriaxon|!} 2 g.",
        "Bei {Fieber|} und {Husten|} seit 3 Tagen Vorstellung.",
        "Bei {Fieber|} seit gestern stellt sich der Patient vor.",
        "Patient hat bei {Unruhe|} {Lorazepam|!} erhalten.",
        "Bij {koorts|} gisteren {paracetamol|!} gekregen.",
    ]);
}

#[test]
fn what_is_past_is_told_by_ages_years_and_each_by_itself() {
    assert_said(&[
        "Leberzysten, Z.n. {Hirnblutung|H} 2005, {Gicht|}, {RLS|}.",
        "Z.n. {BNS-Anfällen|H} im Säuglingsalter, {Rhabdomyome|}.",
        "In 2017 {BPPV|H} rechts.",
        "Nel 2019 {polmonite|H}, ora bene.",
        "Seen in 2017 with {BPPV|}.",
        "{Salpingite|H} a 20 anni.",
        "{Asthma|H} mit 6 Jahren.",
        "{Anemia|H} em mar/24.",
        "{Asma|H} en infancia.",
        "Born 31/40 - {NEC|H} as neonate.",
        "{Hypertension|} as well as a baby aspirin.",
        "Z.n. {Appendizitis|H}, {Cholezystitis|H} und {Pankreatitis|H}.",
        "Z.n.: {Apoplex|H}, {Hepatitis|H}.",
        "In 2017 {diabetes|} was diagnosed.",
        "{Artrite|} a 20 anni dalla diagnosi.",
        "Já teve {erisipela|H}.",
    ]);
}

#[test]
fn what_is_not_sure_is_told_in_passing() {
    assert_said(&[
        "{Zika|U} menos prov.",
        "{Miocarditis|U} poco probable.",
        "{Schistosomiase|U} à chercher, sérologie.",
        "Hémocultures en cours pour {typhoïde|U}.",
        "Evt {OSAS|U} - eigen huisarts.",
        "Verdachtsdg.: {Intoxikation|U}, {Krise|U}.",
        "{Aspiration|U} mögl.",
        "{Microcitoma|U} da considerare.",
        "Main prob: {cough|} since Monday.",
        "{Obesity hypoventilation|U} needs excluding.",
        "Risiken: {Narbe|Y}, {Parese|Y}.",
        "Mucosa indenne da {colite|N}.",
        "Helm niet, {anafylaxie|N} nooit.",
        "Marido teve {chikungunya|F} mês passado.",
        "Dengue c/ sinais de alarme. {Hepatite|}.",
        "({Anévrisme|} stable vs 2022).",
        "{Gonarthrosis|} sin., {Husten|}, {Fieber|}.",
        "Denies {chest pain|N}, {fever|N} (T=37.0), {cough|N}.",
        "Dor lombar prov. {litíase renal|}.",
        "Chimiothérapie en cours pour {cancer|}.",
        "{Solifenacina|!} no ({glaucoma|}).",
    ]);
}

#[test]
fn a_line_begins_anew_with_a_day_or_a_letter_before_a_slash() {
    assert_said(&[
        "No {febbre|N}, no {calo ponderale|N}. Muscoril e Dicloreum per 6 giorni. {Artrite|N}? no\n15/02 tel: {prurito|}",
        "E/ urolithiasis rechts met kolieken, nu onder controle, geen {koorts|N}\nP/ {diclofenac|!}, terug bij {koorts|Y}",
    ]);
}

#[test]
fn family_histories_end_with_labels_that_are_cut_short() {
    assert_said(&[
        "Fam: Mutter {Depression|F}, Onkel {Suizid|F}. Entwickl.: {ADHS|H} als Kind.\nSomat.: 61 kg, {Tachykardie|} 112.",
        "Antecedentes familiares: madre {ca ovario|F}. EF: no {adenopatías|N}, {linfedema|} brazo izquierdo.",
        "Antecedentes familiares: mãe {câncer de ovário|F}. Alergia dipirona ({edema|}).",
        "Familienanamnese: {Brustkrebs|F} (Mutter). Kardiovask.: {Hypertonie|F} (Vater).",
    ]);
}
